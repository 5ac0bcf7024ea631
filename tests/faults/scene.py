"""One etcd with a client that registers and a client that watches. Leaving its block checks the invariants, closes both
clients, and checks that nothing is left.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from types import TracebackType

import callsheet
from follower import Follower
from footprint import Footprint
from invariants import at_work, left_open, not_withdrawn, until_none
from servers import Cluster

# Five times the longest pause between two tries, and what a request may take.
SETTLED = 50.0
# Five times what closing may take.
CLOSED = 25.0
# A member may hear of it a moment later than the one that was told. Less than any lease lasts.
WITHDRAWN = 0.5
# What histories of the tests and bounded caches may grow by.
MEMORY = 4 << 20


class Scene:
    """`url` is the registering client's, `watching_url` the other's; both are the cluster's own unless given."""

    def __init__(
        self,
        etcd: Cluster,
        *,
        url: str | None = None,
        watching_url: str | None = None,
        ttl: float = 10,
        timeout: float = 5,
        empty_hold: float = 600,
    ) -> None:
        self.etcd = etcd
        self.prefix = "/services/"
        self.registrations: list[callsheet.Registration] = []
        self.followers: dict[str, Follower] = {}
        # Keys that the test itself has put there: instances, and what is none.
        self.placed: set[str] = set()
        self.garbage: set[str] = set()
        self._before = Footprint.now()
        self._steady: Footprint | None = None
        self._probes = 0
        self.provider = callsheet.connect(url or etcd.url, ttl=ttl, timeout=timeout)
        self.consumer = callsheet.connect(watching_url or etcd.url, timeout=timeout, empty_hold=empty_hold)
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

    def key(self, registration: callsheet.Registration) -> str:
        return f"{self.prefix}{registration.instance.service}/{registration.id}"

    def put(self, service: str, *ids: str, lease: int = 0) -> int:
        """Instances that another tool keeps there, in one transaction; its revision."""
        puts = {f"{self.prefix}{service}/{each}": foreign_value(service, each) for each in ids}
        self.placed |= puts.keys()
        return self.etcd.store.transaction(puts, lease=lease)

    def remove(self, service: str, *ids: str) -> int:
        keys = [f"{self.prefix}{service}/{each}" for each in ids]
        self.placed -= set(keys)
        return self.etcd.store.transaction({}, keys)

    def put_garbage(self, values: dict[str, bytes]) -> int:
        """Under keys that follow the prefix: values that are no instance."""
        puts = {self.prefix + key: value for key, value in values.items()}
        self.garbage |= puts.keys()
        return self.etcd.store.transaction(puts)

    # --- What is waited for -------------------------------------------------------------------------------------

    def steady(self) -> None:
        """Everything is in place: what this process uses now is what it may use at the end."""
        until_none(lambda: at_work(self), SETTLED)
        self._steady = Footprint.now()

    def until_registered(self, deadline: float) -> None:
        for registration in self.registrations:
            registration.wait("registered", timeout=deadline)

    def probe(self, services: Iterable[str], deadline: float) -> float:
        """An instance changes in each and its watch sees that; how many seconds all took together."""
        began = time.monotonic()
        for service in services:
            # Never removed: what was sent to a server that hung may be done late, and then once more.
            self._probes += 1
            port = self._probes
            key = f"{self.prefix}{service}/probe"
            self.placed.add(key)
            self.etcd.store.put(key, foreign_value(service, "probe", port))
            self.followers[service].until(lambda latest, port=port: _port(latest) == port, deadline)  # type: ignore[misc]
        return time.monotonic() - began

    # --- How it ends --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The invariants, while both clients are open."""
        until_none(lambda: at_work(self), SETTLED)
        if self._steady is not None:
            steady = self._steady
            until_none(lambda: Footprint.now().growth_since(steady, MEMORY), SETTLED)

    def close(self) -> None:
        for follower in self.followers.values():
            follower.close()
        for client in self.clients:
            client.close()
        self._reader.join(CLOSED)

    def check_closed(self) -> None:
        """What has to hold once both clients are closed."""
        until_none(lambda: not_withdrawn(self), WITHDRAWN)
        until_none(lambda: left_open(self), CLOSED)
        # The test still holds what it has seen, so memory is another matter.
        until_none(lambda: Footprint.now().growth_since(self._before, None), SETTLED)

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

    def _read(self, names: callsheet.NamesWatch) -> None:
        for listed in names:
            self._names = listed


def lasting(seconds: float) -> None:
    """For as long as a fault is to last. Nothing is hoped to have happened by the end of it."""
    time.sleep(max(seconds, 0))


def foreign_value(service: str, id: str, port: int = 9) -> str:
    """An instance as another tool would write it: without the owner's stamp."""
    return json.dumps({"id": id, "service": service, "address": "127.0.0.1", "port": port})


def _port(snapshot: callsheet.Snapshot) -> int | None:
    probe = snapshot.get("probe")
    return probe.port if probe else None
