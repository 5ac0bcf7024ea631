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

    def cpu(self) -> int:
        """Nanoseconds that it has run so far."""
        return self._process.cpu()

    def seed(self, place: Place, count: int) -> None:
        """So many instances."""
        self.seed_all([place], count)

    def seed_all(self, places: list[Place], count: int) -> None:
        """So many instances at each of them."""
        self._process.tell(f"seed {count} {' '.join(place.putter for place in places)}")
        self._process.said()

    def pace(self, places: list[Place], instances: int, count: int, pause: float) -> dict[int, int]:
        """Changes as many instances, one in each pause, each another one of those that were seeded. When the answer to
        each change was there, by the number that is in its value.
        """
        names = " ".join(place.putter for place in places)
        self._process.tell(f"pace {count} {pause * 1e6:.0f} {instances} {names}")
        return dict(enumerate(map(int, self._process.said().split()), 1))

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
