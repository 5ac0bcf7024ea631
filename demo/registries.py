"""Where the story plays: what provides each registry, how soon a crash is seen on it, and the scene that is its own."""

from __future__ import annotations

import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from stage import DEADLINE, Cast, Timeline, milliseconds, tell

# The servers of the demo are those of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import QUICK, Cluster, Consul, Options
from servers.waiting import until


class Registry(Protocol):
    url: str
    #: Seconds after which a crash is seen by everybody.
    crash_seen_within: float
    why_so_late: str

    def outage(self, cast: Cast, timeline: Timeline) -> None:
        """The registry itself goes away and comes back, where it can."""


class Local:
    """A file, whose readers hear of a crash from the kernel."""

    crash_seen_within = 1.0
    why_so_late = ""

    def __init__(self, folder: str) -> None:
        self.url = f"local://{folder}/registry.db"

    def outage(self, cast: Cast, timeline: Timeline) -> None:
        """Nothing: there is no server that could go away."""


class Server(ABC):
    """One that hears of a crash by not hearing anything for the TTL."""

    TTL = 4
    crash_seen_within = float(TTL)
    name: str
    why_so_late: str
    url: str

    def __init__(self, server: Cluster | Consul) -> None:
        self.server = server

    def outage(self, cast: Cast, timeline: Timeline) -> None:
        before, members = self.registrations(), timeline.members()
        answered, killed = cast.total("answered"), time.monotonic_ns()
        self.server.kill()
        timeline.wait("the outage to be seen", lambda: timeline.was.get("stale", 0) > killed)
        tell(
            f"kill -9 of {self.name} itself: lists are stale after {milliseconds(killed, timeline.was['stale'])}, and "
            "everybody goes on with them;"
        )
        # So long that every member takes its registration for lost.
        while time.monotonic_ns() < killed + 1.4e9 * self.TTL:
            cast.until_calls(100)
        away = milliseconds(killed, time.monotonic_ns())
        tell(
            f"    {cast.total('answered') - answered:,} calls in {away} without it, {cast.total('failed')} failed"
        )

        started = time.monotonic_ns()
        self.server.start()
        timeline.wait("live lists", lambda: timeline.was["live"] > killed)
        live = timeline.was["live"]
        until(lambda: self.are_anew(before, self.registrations()), DEADLINE)
        anew = time.monotonic_ns()
        timeline.wait("everybody in the list", lambda: timeline.members() == members)
        tell(
            f"{self.name} is started again: lists are live after {milliseconds(started, live)}, everybody "
            f"has registered anew after {milliseconds(started, anew)};"
        )
        cast.until_calls(1000)
        tell(f"    {self.missing(timeline)}, {cast.total('failed')} calls failed")

    @abstractmethod
    def registrations(self) -> dict[str, object]:
        """What the server has of each instance that tells one registration from the next."""

    @abstractmethod
    def are_anew(self, before: dict[str, object], now: dict[str, object]) -> bool:
        """Whether everybody has registered again."""

    @abstractmethod
    def missing(self, timeline: Timeline) -> str:
        """Who was missing from the list meanwhile, in words."""


class OnEtcd(Server):
    """Which forgets nobody before the lease runs out, and that stands still while it is away."""

    name = "etcd"
    why_so_late = f", when its lease ran out (TTL {Server.TTL} s)"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.store = cluster.store
        self.url = cluster.url_of(cluster.endpoints, ttl=f"{self.TTL}s")

    def registrations(self) -> dict[str, object]:
        return {key: entry.lease for key, entry in self.store.prefix("/services/").items()}

    def are_anew(self, before: dict[str, object], now: dict[str, object]) -> bool:
        return before.keys() == now.keys() and all(before[key] != now[key] for key in before)

    def missing(self, timeline: Timeline) -> str:
        if timeline.absences():
            sys.exit("the outage cost somebody the place in the list")
        return "nobody was missing from a list meanwhile"


class OnConsul(Server):
    """Whose agent, when it is back, takes everybody for dead who has not renewed a check since."""

    name = "Consul"
    why_so_late = f", when its check ran out (TTL {Server.TTL} s)"

    def __init__(self, consul: Consul) -> None:
        super().__init__(consul)
        self.agent = consul.agent
        self.url = consul.url_of(ttl=f"{self.TTL}s")

    def registrations(self) -> dict[str, object]:
        return {id: check["Status"] for id, check in self.agent.local.checks().items()}

    def are_anew(self, before: dict[str, object], now: dict[str, object]) -> bool:
        return before == now

    def missing(self, timeline: Timeline) -> str:
        absences = timeline.absences()
        if not absences:
            return "nobody was missing from a list meanwhile"
        away = milliseconds(min(went for went, _ in absences), max(back for _, back in absences))
        return (
            f"for {away} it listed them as critical, as Consul does until a check is renewed, and they were "
            "called nevertheless"
        )


@contextmanager
def local() -> Iterator[Local]:
    with tempfile.TemporaryDirectory(prefix="callsheet-demo-") as folder:
        yield Local(folder)


@contextmanager
def etcd() -> Iterator[OnEtcd]:
    with Cluster(options=Options(flags=QUICK)) as cluster:
        yield OnEtcd(cluster)


@contextmanager
def consul() -> Iterator[OnConsul]:
    with Consul() as started:
        yield OnConsul(started)


REGISTRIES: dict[str, Callable[[], AbstractContextManager[Registry]]] = {
    "local": local,
    "etcd": etcd,
    "consul": consul,
}
