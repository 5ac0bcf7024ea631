"""callsheet against real Consuls, through its Python package."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import AgentOptions, Consul
from servers.binaries import Version
from servers.certificates import Certificates

pytest_plugins = ["servers.fixtures"]


@pytest.fixture(params=["new", "old"])
def version(request: pytest.FixtureRequest) -> Version:
    """Each of the two that are built."""
    found: Version = request.param
    return found


@pytest.fixture
def either(version: Version, request: pytest.FixtureRequest) -> Consul:
    """As `consul`, of each version."""
    found: Consul = request.getfixturevalue("consul" if version == "new" else "old_consul")
    return found


@pytest.fixture(scope="session")
def _acl_of_session() -> Iterator[Consul]:
    with Consul(options=AgentOptions(acl=True)) as consul:
        yield consul


@pytest.fixture
def with_acl(_acl_of_session: Consul) -> Consul:
    """One server that denies by default, shared, with nothing registered as each test begins. Not to be hurt."""
    _acl_of_session.empty()
    return _acl_of_session


@pytest.fixture(scope="session")
def _tls_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Consul, Certificates]]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    options = AgentOptions(certificates=certificates, client_certificates=True)
    with Consul(options=options, proxied=True) as consul:
        yield consul, certificates


@pytest.fixture
def with_tls(_tls_of_session: tuple[Consul, Certificates]) -> tuple[Consul, Certificates]:
    """One server that asks for client certificates, behind a proxy, shared; all certificates are good again."""
    consul, certificates = _tls_of_session
    consul.rotate(days=90)
    certificates.issue_client(days=90)
    consul.proxies[0].heal()
    consul.empty()
    return consul, certificates


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What callsheet logs, from warnings on."""
    caplog.set_level(logging.WARNING, logger="callsheet")
    return caplog
