"""Where the story plays: what provides each registry, how soon a crash is seen on it, and the scene that is its own."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from stage import DEADLINE, Cast, Timeline, milliseconds, tell

# The etcd of the demo is that of the tests.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import QUICK, Cluster, Options
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


class Etcd:
    """A server, which hears of a crash by not hearing anything for the TTL."""

    TTL = 4
    crash_seen_within = float(TTL)
    why_so_late = f", when its lease ran out (TTL {TTL} s)"

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.url = cluster.url_of(cluster.endpoints, ttl=f"{self.TTL}s")

    def outage(self, cast: Cast, timeline: Timeline) -> None:
        before, gone = self.leases(), set(timeline.went)
        answered, killed = cast.total("answered"), time.monotonic_ns()
        self.cluster.kill()
        timeline.wait("the outage to be seen", lambda: timeline.was.get("stale", 0) > killed)
        tell(
            f"kill -9 of etcd itself: lists are stale after {milliseconds(killed, timeline.was['stale'])}, and "
            "everybody goes on with them;"
        )
        # So long that every member takes its lease for lost.
        while time.monotonic_ns() < killed + 1.4e9 * self.TTL:
            cast.until_calls(100)
        away = milliseconds(killed, time.monotonic_ns())
        tell(
            f"    {cast.total('answered') - answered:,} calls in {away} without it, {cast.total('failed')} failed"
        )

        started = time.monotonic_ns()
        self.cluster.start()
        timeline.wait("live lists", lambda: timeline.was["live"] > killed)
        until(lambda: not before & self.leases(), DEADLINE)
        anew = time.monotonic_ns()
        if timeline.went.keys() - gone:
            sys.exit("the outage cost somebody the place in the list")
        tell(
            f"etcd is started again: lists are live after {milliseconds(started, timeline.was['live'])}, everybody "
            f"has registered anew after {milliseconds(started, anew)};"
        )
        cast.until_calls(1000)
        tell(f"    nobody was missing from a list meanwhile, {cast.total('failed')} calls failed")

    def leases(self) -> set[int]:
        return {entry.lease for entry in self.cluster.store.prefix("/services/").values()}


@contextmanager
def local() -> Iterator[Local]:
    with tempfile.TemporaryDirectory(prefix="callsheet-demo-") as folder:
        yield Local(folder)


@contextmanager
def etcd() -> Iterator[Etcd]:
    with Cluster(options=Options(flags=QUICK)) as cluster:
        yield Etcd(cluster)


REGISTRIES: dict[str, Callable[[], AbstractContextManager[Registry]]] = {"local": local, "etcd": etcd}
