"""pytest's view of the servers: `pytest_plugins = ["servers.fixtures"]` in the conftest.py next to the tests.
A failed test shows the end of the log of each server that was running.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .cluster import Cluster

if TYPE_CHECKING:
    from .certificates import Certificates

NewCluster = Callable[..., Cluster]

_running: list[Cluster] = []


@pytest.fixture(scope="session")
def _etcd_of_session() -> Iterator[Cluster]:
    with Cluster() as cluster:
        _running.append(cluster)
        yield cluster
        _running.remove(cluster)


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
    with ExitStack() as clusters:

        def start(*args: object, **options: object) -> Cluster:
            cluster = clusters.enter_context(Cluster(*args, **options))  # type: ignore[arg-type]
            _running.append(cluster)
            clusters.callback(_running.remove, cluster)
            return cluster

        yield start


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
