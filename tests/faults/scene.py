"""One registry with a client that registers and a client that watches. Leaving its block checks the invariants, closes
both clients, and checks that nothing is left. `etcd_scene.py` and `consul_scene.py` say what of each registry.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType

import callsheet
from follower import Follower
from footprint import Footprint
from invariants import every_endpoint, left_open, until_none
from servers import Cluster, Consul

# Five times the longest pause between two tries, and what a request may take.
SETTLED = 50.0
# Five times what closing may take.
CLOSED = 25.0
# A member may hear of it a moment later than the one that was told. Less than any lease or check lasts.
WITHDRAWN = 0.5
# What histories of the tests and bounded caches may grow by.
MEMORY = 4 << 20


class Scene(ABC):
    """`url` is the registering client's, `watching_url` the other's; both are the server's own unless given."""

    def __init__(
        self,
        server: Cluster | Consul,
        *,
        url: str | None = None,
        watching_url: str | None = None,
        ttl: float = 10,
        timeout: float = 5,
        empty_hold: float = 600,
    ) -> None:
        self.server = server
        self.registrations: list[callsheet.Registration] = []
        self.followers: dict[str, Follower] = {}
        self._before = self._footprint()
        self._steady: Footprint | None = None
        self._probes = 0
        self.provider = callsheet.connect(url or server.url, ttl=ttl, timeout=timeout)
        self.consumer = callsheet.connect(watching_url or server.url, timeout=timeout, empty_hold=empty_hold)
        self._names: list[str] = []
        names = self.consumer.watch_services()
        self._reader = threading.Thread(target=self._read, args=(names,), daemon=True)
        self._reader.start()

    @property
    def clients(self) -> tuple[callsheet.Client, callsheet.Client]:
        return self.provider, self.consumer

    @property
    def names(self) -> list[str]:
        """All services, as the watching client was told."""
        return self._names

    # --- What differs between registries ------------------------------------------------------------------------

    @abstractmethod
    def place(self, service: str, id: str, port: int) -> None:
        """An instance at 127.0.0.1 that another tool keeps in the registry; one of that id is replaced."""

    @abstractmethod
    def stored(self, registration: callsheet.Registration) -> object:
        """What the registry has of it; the same as before when nobody wrote it since."""

    @abstractmethod
    def wrong_at_work(self) -> list[str]:
        """What is wrong while both clients are open."""

    @abstractmethod
    def not_withdrawn(self) -> list[str]:
        """What a client that is closed should have taken with it before it said so."""

    def still_served(self) -> list[str]:
        """What the registry still does a moment after both clients were closed."""
        return []

    # --- What is in it ------------------------------------------------------------------------------------------

    def register(self, service: str, port: int, **options: object) -> callsheet.Registration:
        """Of `127.0.0.1:port`; the provider keeps it until the scene ends, or `close_registration`."""
        registration = self.provider.register(service, port, "127.0.0.1", **options)  # type: ignore[arg-type]
        self.registrations.append(registration)
        return registration

    def close_registration(self, registration: callsheet.Registration) -> None:
        registration.close()
        self.registrations.remove(registration)

    def follow(self, service: str) -> Follower:
        follower = self.followers[service] = Follower(self.consumer, service)
        return follower

    # --- What is waited for -------------------------------------------------------------------------------------

    def steady(self) -> None:
        """Everything is in place: what this process uses now is what it may use at the end."""
        until_none(self.wrong_at_work, SETTLED)
        self._steady = self._footprint()

    def until_registered(self, deadline: float) -> None:
        for registration in self.registrations:
            registration.wait("registered", timeout=deadline)

    def probe(self, services: Iterable[str], deadline: float) -> float:
        """An instance changes in each, and then each watch sees that; how many seconds all took together."""
        began = time.monotonic()
        placed = []
        for service in services:
            # Never removed: what was sent to a server that hung may be done late, and then once more.
            self._probes += 1
            self.place(service, "probe", self._probes)
            placed.append((self.followers[service], self._probes))
        for follower, port in placed:
            follower.until(lambda latest, port=port: _port(latest) == port, deadline)  # type: ignore[misc]
        return time.monotonic() - began

    # --- How it ends --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The invariants, while both clients are open."""
        until_none(self.wrong_at_work, SETTLED)
        if self._steady is not None:
            steady = self._steady
            until_none(lambda: self._footprint().growth_since(steady, MEMORY), SETTLED)

    def close(self) -> None:
        for follower in self.followers.values():
            follower.close()
        for client in self.clients:
            client.close()
        self._reader.join(CLOSED)

    def check_closed(self) -> None:
        """What has to hold once both clients are closed."""
        until_none(self.not_withdrawn, WITHDRAWN)
        until_none(lambda: [*self.still_served(), *left_open(self)], CLOSED)
        # The test still holds what it has seen, so memory is another matter.
        until_none(lambda: self._footprint().growth_since(self._before, None), SETTLED)

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.check()
        finally:
            self.close()
        if error is None:
            self.check_closed()

    def _footprint(self) -> Footprint:
        """How many connections there are is an invariant of each registry's own."""
        return Footprint.now(apart_from=every_endpoint(self.server))

    def _read(self, names: callsheet.NamesWatch) -> None:
        for listed in names:
            self._names = listed


def lasting(seconds: float) -> None:
    """For as long as a fault is to last. Nothing is hoped to have happened by the end of it."""
    time.sleep(max(seconds, 0))


def _port(snapshot: callsheet.Snapshot) -> int | None:
    probe = snapshot.get("probe")
    return probe.port if probe else None
