"""Changes in a real etcd until they are there, and what they cost, of callsheet and of its peers.

Everyone follows 50 instances under a prefix of its own. One more process changes one of each in turns, so that all meet
the machine in the same moods, and have time to fall asleep.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from languages import Language, Led, led
from pairs import PAIRS, PEERS
from rows import Row, row, spread

if TYPE_CHECKING:
    from putter import Put, Putter

INSTANCES = 50
ROUNDS = 5
#: Changes of one round, so of one p99.
CHANGES = 200
WARM_UP = 100
#: How long a last change may take until what it cost is counted, in seconds.
SETTLE = 0.1


@dataclass
class Figures:
    """Each round's: milliseconds over the put's own, and milliseconds of CPU for a thousand changes."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    #: What the puts took.
    round_trips: list[float] = field(default_factory=list)


def prefix_of(language: Language) -> str:
    """What is before the keys of its instances."""
    return f"/{language.name.replace(' ', '-')}/"


class Follower:
    """A process that follows, and what was found of it."""

    def __init__(self, language: Language, process: Led) -> None:
        self.language = language
        self.process = process
        self.figures = Figures()

    def heard(self, puts: dict[int, Put], spent: int) -> None:
        """Adds a round, in which its process ran so many nanoseconds."""
        self.process.go_on()
        arrivals = [tuple(map(int, arrival.split(":"))) for arrival in self.process.said().split()]
        over = []
        for number, put in puts.items():
            # A slow reader gets a later list instead.
            at = min((at for n, at in arrivals if n >= number), default=None)
            if at is None:
                sys.exit(f"{self.language.name} did not hear of a change within {SETTLE:g} s")
            done = put.time_of_day if self.language.time_of_day else put.monotonic
            over.append((at - done) / 1e6)
        cuts = statistics.quantiles(over, n=100)
        self.figures.p50.append(cuts[49])
        self.figures.p99.append(cuts[98])
        self.figures.cpu.append(spent / 1e6 * 1000 / len(puts))
        self.figures.round_trips.append(statistics.median(put.took for put in puts.values()) / 1e6)


def play(followers: list[Follower], putter: Putter, count: int) -> None:
    """One round."""
    before = [follower.process.cpu() for follower in followers]
    puts = putter.put([prefix_of(follower.language) for follower in followers], count)
    time.sleep(SETTLE)
    spent = [follower.process.cpu() - cpu for follower, cpu in zip(followers, before, strict=True)]
    for follower, its_puts, its_cpu in zip(followers, puts, spent, strict=True):
        follower.heard(its_puts, its_cpu)


def followed(languages: list[Language], endpoint: str, putter: Putter) -> list[Follower]:
    """All of them, after all rounds."""
    with ExitStack() as stack:
        followers = []
        for language in languages:
            putter.seed(prefix_of(language), INSTANCES)
            command = language.on_etcd(language.following, endpoint, prefix_of(language))
            followers.append(Follower(language, stack.enter_context(led(*command))))
        for follower in followers:
            follower.process.said()
        play(followers, putter, WARM_UP)
        for follower in followers:
            follower.figures = Figures()
        for _ in range(ROUNDS):
            play(followers, putter, CHANGES)
    return followers


def changes(languages: list[Language], endpoint: str, putter: Putter) -> Iterator[Row]:
    """The rows of all of that."""
    crowded = Language("Rust, 300 services", languages[0].command, following="arrive-300")
    followers = followed([*languages, *PEERS, crowded], endpoint, putter)
    of = {follower.language.name: follower.figures for follower in followers}
    trips = [trip for figures in of.values() for trip in figures.round_trips]
    yield row("etcd: a put's round trip, p50", "ms", spread(trips))
    for pair in PAIRS:
        ours, peer = of[pair.language], of[pair.peer.name]
        name = f"etcd: put to {pair.language} callback over the put's round trip"
        yield row(f"{name}, p50", "ms", spread(ours.p50), pair.peer.called, spread(peer.p50), pair.latency)
        yield row(f"{name}, p99", "ms", spread(ours.p99), pair.peer.called, spread(peer.p99))
    for pair in PAIRS:
        name, cpu = f"etcd: CPU of 1,000 changes, {pair.language}", spread(of[pair.language].cpu)
        yield row(name, "ms", cpu, pair.cpu_peer.called, spread(of[pair.cpu_peer.name].cpu), pair.cpu)
        if pair.peer is not pair.cpu_peer:
            yield row(name, "ms", cpu, pair.peer.called, spread(of[pair.peer.name].cpu))
    alone, many = of[languages[0].name], of[crowded.name]
    name = "etcd: 300 watched services, put to Rust callback, p50"
    yield row(name, "ms", spread(many.p50), "one watched service", spread(alone.p50))
    name = "etcd: 300 watched services, CPU of 1,000 changes, Rust"
    yield row(name, "ms", spread(many.cpu), "one watched service", spread(alone.cpu))
