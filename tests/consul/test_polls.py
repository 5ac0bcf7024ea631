"""Many services on one agent: how many queries wait there at once, and that nobody goes short."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import callsheet
from servers import AgentOptions, Consul
from servers.binaries import Version
from servers.fixtures import NewConsul
from shared.seen import Seen, registered

SERVICES = 300
#: Queries that wait at once, requests beside them, and what each of two clients keeps open of either kind.
CONNECTIONS = 128 + 32 + 2 * 2 * 8
# A change is told within the longest time that a service goes without a turn, and a request.
TOLD = 5 * (2 + 0.5)


class Connections:
    """The most connections of programs that the agent had at once, as the machine counts them."""

    def __init__(self, consul: Consul) -> None:
        self._port = int(consul.agent.endpoint.rpartition(":")[2])
        self._most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)

    def __enter__(self) -> Connections:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def most(self) -> int:
        return self._most

    def now(self) -> int:
        here = f"0100007F:{self._port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        # Established ones that come from where programs do; the fixture asks from another address.
        return sum(row[1] == here and row[3] == "01" and row[2].startswith("0100007F:") for row in rows)

    def _count(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self.now())


def test_three_hundred_services_take_at_most_128_polls(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version))
    with ExitStack() as stack:
        # Of one process, however many clients it has.
        clients = [stack.enter_context(callsheet.connect(consul.url)) for _ in range(2)]
        connections = stack.enter_context(Connections(consul))
        names = [f"s{number:03}" for number in range(SERVICES)]
        seen = {
            name: stack.enter_context(Seen(clients[at % 2], name, deadline=TOLD))
            for at, name in enumerate(names)
        }
        for watched in seen.values():
            assert len(watched.until(lambda snapshot: snapshot.freshness == "live")) == 0
        for name in names:
            consul.agent.local.register(name, 80)
        for watched in seen.values():
            watched.until(lambda snapshot: snapshot.freshness == "live" and len(snapshot) == 1)
        # One change alone is told as well, with nobody else who wakes up.
        for name in (names[0], names[150], names[299]):
            consul.agent.local.register(name, 81, tags=["new"])
            seen[name].until(lambda snapshot: [one.tags for one in snapshot] == [("new",)])
        assert 100 < connections.most <= CONNECTIONS
        for client in clients:
            stats = client.stats()
            assert (stats["live_services"], stats["load_failures"]) == (SERVICES // 2, 0)
        refusals = [value for name, value in consul.agent.local.metrics().items() if "rejected" in name]
        assert sum(refusals) == 0


def test_who_registers_is_not_held_up_by_who_waits(new_consul: NewConsul) -> None:
    consul = new_consul()
    with ExitStack() as stack:
        client = stack.enter_context(callsheet.connect(consul.url, ttl=1))
        seen = [stack.enter_context(Seen(client, f"s{number}")) for number in range(SERVICES)]
        for watched in seen:
            watched.until(lambda snapshot: snapshot.freshness == "live")
        states: list[str] = []
        began = time.monotonic()
        registration = registered(client, on_state=states.append)
        assert time.monotonic() - began < 5
        watched = stack.enter_context(Seen(client))
        for number in range(5):
            registration.update(tags=[str(number)])
            watched.until(lambda snapshot: len(snapshot) == 1)
        assert states == ["registered"]
