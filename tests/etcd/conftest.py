"""callsheet against real etcds, through its Python package."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import callsheet
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


def chain(error: BaseException) -> list[str]:
    """What an error and its causes say."""
    told = []
    cause: BaseException | None = error
    while cause is not None:
        told.append(str(cause))
        cause = cause.__cause__
    return told


def state_of(registration: callsheet.Registration) -> tuple[str, str | None]:
    """The state, and the code of the last error."""
    error = registration.last_error
    return registration.state, error.code if error else None


def registered(client: callsheet.Client, port: int = 80, **options: object) -> callsheet.Registration:
    """An instance of `billing` that is in the registry."""
    registration = client.register("billing", port, "10.0.0.1", **options)  # type: ignore[arg-type]
    assert registration.state == "registered", registration.last_error
    return registration


class Seen:
    """The snapshots of `billing` that a client is told, healthy or not."""

    def __init__(self, client: callsheet.Client, deadline: float = 25) -> None:
        self._deadline = deadline
        self._news = threading.Condition()
        self._snapshots: list[callsheet.Snapshot] = []
        self._subscription = client.on_change("billing", self._add, healthy=False)

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.close()

    def _add(self, snapshot: callsheet.Snapshot) -> None:
        with self._news:
            self._snapshots.append(snapshot)
            self._news.notify_all()

    def clear(self) -> None:
        """What was told so far counts no more."""
        with self._news:
            self._snapshots.clear()

    def until(self, wanted: Callable[[callsheet.Snapshot], bool]) -> callsheet.Snapshot:
        """The first one that is wanted; it and those before it count no more."""
        end = time.monotonic() + self._deadline
        with self._news:
            while True:
                while self._snapshots:
                    snapshot = self._snapshots.pop(0)
                    if wanted(snapshot):
                        return snapshot
                left = end - time.monotonic()
                assert left > 0, f"not within {self._deadline:g} s"
                self._news.wait(left)


def tagged(tag: str) -> Callable[[callsheet.Snapshot], bool]:
    """Live, with one instance that has this tag."""
    return lambda snapshot: snapshot.freshness == "live" and [one.tags for one in snapshot] == [(tag,)]
