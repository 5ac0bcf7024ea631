"""Who takes part: ten registrations and ten watchers, in six processes of three languages."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

#: One is the beginning of the others' names, whose instances it must not see.
SERVICES = ("a", "ab", "a.b")
PREFIX = "/services/"

CAST = Path(__file__).with_name("cast")
BLOCKING = (sys.executable, str(CAST / "blocking.py"))
ASYNCIO = (sys.executable, str(CAST / "looping.py"))
NODE = ("node", str(CAST / "watcher.mjs"))
GO = (str(Path(__file__).parents[2] / "target" / "soak" / "watcher"),)


@dataclass(frozen=True)
class Slot:
    """A registration that may be opened and closed again and again."""

    name: str
    service: str
    port: int
    ttl: int
    chosen: bool
    """Whether its id was chosen, and not made of address and port: such a one is taken over from anyone."""

    @property
    def address(self) -> str:
        return "10.1.0.1"

    @property
    def id(self) -> str:
        return self.name if self.chosen else f"{self.address}:{self.port}"

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.service}/{self.id}"


@dataclass(frozen=True)
class Watcher:
    name: str
    service: str
    healthy: bool
    """Whether it sees only those that are."""


@dataclass(frozen=True)
class Part:
    """A process."""

    name: str
    command: tuple[str, ...]
    slots: tuple[Slot, ...]
    watchers: tuple[Watcher, ...]
    mortal: bool
    """Whether it is killed at times. The others show what a long life does to memory."""


SLOTS = tuple(
    Slot(f"r{at}", SERVICES[at % 3], 8000 + at, ttl=2 + at % 2, chosen=at % 4 < 2) for at in range(10)
)
WATCHERS = tuple(Watcher(f"w{at}", SERVICES[at % 3], healthy=at % 2 == 0) for at in range(10))
PARTS = (
    Part("python", BLOCKING, SLOTS[0:3], WATCHERS[0:2], mortal=False),
    Part("asyncio", ASYNCIO, SLOTS[3:6], WATCHERS[2:4], mortal=False),
    Part("python-2", BLOCKING, SLOTS[6:8], (), mortal=True),
    Part("asyncio-2", ASYNCIO, SLOTS[8:10], WATCHERS[4:6], mortal=True),
    Part("node", NODE, (), WATCHERS[6:8], mortal=False),
    Part("go", GO, (), WATCHERS[8:10], mortal=False),
)
