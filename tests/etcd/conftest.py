"""callsheet against real etcds, through its Python package."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import Cluster, Options
from servers.certificates import Certificates

pytest_plugins = ["servers.fixtures"]


@pytest.fixture(scope="session")
def _users_of_session() -> Iterator[Cluster]:
    with Cluster(users=True) as cluster:
        yield cluster


@pytest.fixture
def with_users(_users_of_session: Cluster) -> Cluster:
    """One node with authentication on, shared, empty as each test begins. Not to be hurt."""
    _users_of_session.store.delete_prefix("")
    return _users_of_session


@pytest.fixture(scope="session")
def _tls_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Certificates]]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    options = Options(certificates=certificates, client_certificates=True)
    with Cluster(options=options, proxied=True) as cluster:
        yield cluster, certificates


@pytest.fixture
def with_tls(_tls_of_session: tuple[Cluster, Certificates]) -> tuple[Cluster, Certificates]:
    """One node that asks for client certificates, behind a proxy, shared; certificates are good as each test begins."""
    cluster, certificates = _tls_of_session
    certificates.issue_server(days=90)
    certificates.issue_client(days=90)
    cluster.proxies[0].heal()
    cluster.store.delete_prefix("")
    return cluster, certificates


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What callsheet logs, from warnings on."""
    caplog.set_level(logging.WARNING, logger="callsheet")
    return caplog
