"""pytest's view of the servers: `pytest_plugins = ["servers.fixtures"]` in the conftest.py next to the tests.
A failed test shows the end of the log of each server that was running.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from .agent import AgentOptions
from .cluster import Cluster
from .consul import Consul

if TYPE_CHECKING:
    from .certificates import Certificates

NewCluster = Callable[..., Cluster]
NewConsul = Callable[..., Consul]
Started = TypeVar("Started", Cluster, Consul)

_running: list[Cluster | Consul] = []


def _shared(started: Started) -> Iterator[Started]:
    with started:
        _running.append(started)
        yield started
        _running.remove(started)


def _factory(kind: type[Started]) -> Iterator[Callable[..., Started]]:
    with ExitStack() as all_started:

        def start(*args: Any, **options: Any) -> Started:
            started = all_started.enter_context(kind(*args, **options))
            _running.append(started)
            all_started.callback(_running.remove, started)
            return started

        yield start


@pytest.fixture(scope="session")
def _etcd_of_session() -> Iterator[Cluster]:
    yield from _shared(Cluster())


@pytest.fixture
def etcd(_etcd_of_session: Cluster) -> Cluster:
    """One plain node, shared by all tests of the run, empty as each begins. Not to be hurt."""
    store = _etcd_of_session.store
    for lease in store.leases():
        store.revoke(lease)
    store.delete_prefix("")
    return _etcd_of_session


@pytest.fixture
def new_cluster() -> Iterator[NewCluster]:
    """Starts clusters of the test's own, with the arguments of `Cluster`; they end with the test."""
    yield from _factory(Cluster)


@pytest.fixture(scope="session")
def _consul_of_session() -> Iterator[Consul]:
    yield from _shared(Consul())


@pytest.fixture(scope="session")
def _old_consul_of_session() -> Iterator[Consul]:
    yield from _shared(Consul(options=AgentOptions(version="old")))


@pytest.fixture
def consul(_consul_of_session: Consul) -> Consul:
    """One plain server, shared by all tests of the run, with nothing registered as each begins. Not to be hurt."""
    _consul_of_session.empty()
    return _consul_of_session


@pytest.fixture
def old_consul(_old_consul_of_session: Consul) -> Consul:
    """As `consul`, of the oldest version."""
    _old_consul_of_session.empty()
    return _old_consul_of_session


@pytest.fixture
def new_consul() -> Iterator[NewConsul]:
    """Starts Consuls of the test's own, with the arguments of `Consul`; they end with the test."""
    yield from _factory(Consul)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    from .certificates import Certificates

    return Certificates(tmp_path / "certificates")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for process in (process for cluster in _running for process in cluster.processes):
            report.sections.append((f"log of {process.name}", process.tail()))
    return report
