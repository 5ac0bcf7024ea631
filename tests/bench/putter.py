"""The process that puts instances into etcd while others follow them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from languages import Led, led


class Put(NamedTuple):
    """When the answer was there, in nanoseconds by either clock, and how long it took."""

    monotonic: int
    time_of_day: int
    took: int


class Putter:
    """Puts values as callsheet writes them."""

    def __init__(self, process: Led) -> None:
        self._process = process
        self._number = 0

    def seed(self, prefix: str, count: int) -> None:
        """So many instances of the service `billing`."""
        self._process.tell(f"seed {prefix}billing/ {count}")
        self._process.said()

    def put(self, prefixes: list[str], count: int) -> list[dict[int, Put]]:
        """Changes one instance under each of them so many times, in turns. Each change has a number, which is in the
        value; of each prefix, the puts by that number.
        """
        first = self._number + 1
        self._number += count
        self._process.tell(f"put {first} {count} {' '.join(f'{prefix}billing/' for prefix in prefixes)}")
        lines = [self._process.said().split() for _ in prefixes]
        return [dict(enumerate((Put(*map(int, put.split(":"))) for put in line), first)) for line in lines]


@contextmanager
def putter(rust: list[str], endpoint: str) -> Iterator[Putter]:
    """Runs it until the block ends."""
    with led("the putter", *rust, "put", endpoint) as process:
        yield Putter(process)
