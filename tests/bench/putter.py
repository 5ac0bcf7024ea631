"""The process that puts instances into a registry while others follow them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from languages import Led, led

if TYPE_CHECKING:
    from places import Place


class Put(NamedTuple):
    """When the answer was there, in nanoseconds by either clock, and how long it took."""

    monotonic: int
    time_of_day: int
    took: int


class Putter:
    """Puts instances as callsheet writes them."""

    def __init__(self, process: Led) -> None:
        self._process = process
        self._number = 0

    def seed(self, place: Place, count: int) -> None:
        """So many instances."""
        self._process.tell(f"seed {place.putter} {count}")
        self._process.said()

    def put(self, places: list[Place], count: int) -> list[dict[int, Put]]:
        """Changes one instance at each of them so many times, in turns. Each change has a number, which is in the
        value; of each place, the puts by that number.
        """
        first = self._number + 1
        self._number += count
        self._process.tell(f"put {first} {count} {' '.join(place.putter for place in places)}")
        lines = [self._process.said().split() for _ in places]
        return [dict(enumerate((Put(*map(int, put.split(":"))) for put in line), first)) for line in lines]


@contextmanager
def putter(rust: list[str], registry: str, endpoint: str) -> Iterator[Putter]:
    """Runs it until the block ends."""
    with led("the putter", *rust, "put", registry, endpoint) as process:
        yield Putter(process)
