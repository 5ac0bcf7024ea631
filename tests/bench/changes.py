"""Changes in a real registry until they are there, and what they cost, of callsheet and of its peers.

Everyone follows 50 instances at a place of its own. One more process changes one of each in turns, so that all meet the
machine in the same moods, and have time to fall asleep.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from languages import Language, Led, led
from rows import Row, row, spread

if TYPE_CHECKING:
    from pairs import Contest
    from places import Place
    from putter import Put, Putter

INSTANCES = 50
ROUNDS = 5
WARM_UP = 100
#: How long after a last change what all cost is counted, in seconds.
SETTLE = 0.1
#: How long a change may take.
PATIENCE = 20.0


@dataclass
class Figures:
    """Each round's: milliseconds until a change was there, and milliseconds of CPU for a thousand changes."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    #: What the puts took.
    round_trips: list[float] = field(default_factory=list)


def arrivals(process: Led, wanted: Callable[[list[int]], bool]) -> list[tuple[int, int]]:
    """What it noted, as the number of a change and when that was there, once the numbers are all that are wanted."""
    until = time.monotonic() + PATIENCE
    found: list[tuple[int, int]] = []
    while True:
        process.go_on()
        for arrival in process.said().split():
            number, at = arrival.split(":")
            found.append((int(number), int(at)))
        if wanted([number for number, _ in found]):
            return found
        if time.monotonic() > until:
            sys.exit(f"{process.what} did not hear of a change within {PATIENCE:g} s")
        time.sleep(SETTLE)


def took(at: int, put: Put, language: Language, *, answered: bool) -> float:
    """Milliseconds from a change until it was there."""
    done = put.time_of_day if language.time_of_day else put.monotonic
    return (at - (done if answered else done - put.took)) / 1e6


class Follower:
    """A process that follows, and what was found of it."""

    def __init__(self, language: Language, place: Place, process: Led) -> None:
        self.language = language
        self.place = place
        self.process = process
        self.figures = Figures()

    def heard(self, puts: dict[int, Put], spent: int, *, answered: bool) -> None:
        """Adds a round, in which its process ran so many nanoseconds."""
        found = arrivals(self.process, lambda numbers: max(numbers, default=0) >= max(puts))
        # A slow reader gets a later list instead.
        there = {number: min(at for n, at in found if n >= number) for number in puts}
        cuts = statistics.quantiles(
            [took(there[number], put, self.language, answered=answered) for number, put in puts.items()],
            n=100,
        )
        self.figures.p50.append(cuts[49])
        self.figures.p99.append(cuts[98])
        self.figures.cpu.append(spent / 1e6 * 1000 / len(puts))
        self.figures.round_trips.append(statistics.median(put.took for put in puts.values()) / 1e6)


def play(followers: list[Follower], putter: Putter, count: int, *, answered: bool) -> None:
    """One round."""
    before = [follower.process.cpu() for follower in followers]
    puts = putter.put([follower.place for follower in followers], count)
    time.sleep(SETTLE)
    spent = [follower.process.cpu() - cpu for follower, cpu in zip(followers, before, strict=True)]
    for follower, its_puts, its_cpu in zip(followers, puts, spent, strict=True):
        follower.heard(its_puts, its_cpu, answered=answered)


def followed(
    contest: Contest, languages: list[Language], place_of: Callable[[str], Place], putter: Putter
) -> dict[str, Figures]:
    """What was found of each language, after all rounds."""
    with ExitStack() as stack:
        followers = []
        for language in languages:
            place = place_of(language.name.replace(" ", "-").replace(",", ""))
            putter.seed(place, INSTANCES)
            process = stack.enter_context(led(*language.on(language.following, place)))
            followers.append(Follower(language, place, process))
        for follower in followers:
            follower.process.said()
        play(followers, putter, WARM_UP, answered=contest.answered)
        for follower in followers:
            follower.figures = Figures()
        for _ in range(ROUNDS):
            play(followers, putter, contest.changes, answered=contest.answered)
    return {follower.language.name: follower.figures for follower in followers}


def rows(contest: Contest, of: dict[str, Figures]) -> Iterator[Row]:
    """The rows of all of that."""
    trips = [trip for figures in of.values() for trip in figures.round_trips]
    yield row(f"{contest.registry}: a {contest.change}'s round trip, p50", "ms", spread(trips))
    p50, p99, cpu = (
        {name: getattr(figures, of_what) for name, figures in of.items()} for of_what in ("p50", "p99", "cpu")
    )
    for pair in contest.pairs:
        name = f"{contest.registry}: {contest.change} to {pair.language} callback"
        if contest.answered:
            name += f" over the {contest.change}'s round trip"
        yield from contest.rows(f"{name}, p50", "ms", p50, pair, pair.latency)
        yield from contest.rows(f"{name}, p99", "ms", p99, pair, ((pair.latency[0][0], "-"),))
    for pair in contest.pairs:
        name = f"{contest.registry}: CPU of 1,000 changes, {pair.language}"
        yield from contest.rows(name, "ms", cpu, pair, pair.cpu)
