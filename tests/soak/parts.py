"""Who takes part: ten registrations, fourteen watchers and six callers in eight processes, and six providers that are
called, in a process each; together in all languages.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

#: One is the beginning of the others' names, whose instances it must not see.
SERVICES = ("a", "ab", "a.b")
#: What is really called; nobody but its providers is registered there.
CALLED = "echo"
FOLLOWED = (*SERVICES, CALLED)
PREFIX = "/services/"

CAST = Path(__file__).with_name("cast")
BLOCKING, ASYNCIO = ((sys.executable, "-m", f"soak.cast.{name}") for name in ("blocking", "looping"))
NODE = ("node", "--expose-gc", str(CAST / "node" / "main.mjs"))
BUILT = Path(__file__).parents[2] / "target" / "soak"
GO, C, RUST = ((str(BUILT / name),) for name in ("go", "c", "rust"))


@dataclass(frozen=True)
class Slot:
    """A registration that may be opened and closed again and again."""

    name: str
    service: str
    port: int
    ttl: int
    chosen: bool
    """Whether its id was chosen, and not made of address and port: such a one is taken over from anyone."""
    served: bool = False
    """Whether somebody listens there, at a port that is chosen when a run begins."""

    @property
    def address(self) -> str:
        return "127.0.0.1" if self.served else "10.1.0.1"

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
    calls: bool = False
    """Whether it calls those who are registered as `CALLED`."""

    @property
    def serves(self) -> bool:
        return any(slot.served for slot in self.slots)


SLOTS = tuple(
    Slot(f"r{at}", SERVICES[at % 3], 8000 + at, ttl=2 + at % 2, chosen=at % 4 < 2) for at in range(10)
)
SERVED = tuple(Slot(f"p{at}", CALLED, 0, ttl=10, chosen=True, served=True) for at in range(6))
REGISTERED = (*SLOTS, *SERVED)
WATCHERS = (
    *(Watcher(f"w{at}", SERVICES[at % 3], healthy=at % 2 == 0) for at in range(10)),
    Watcher("w10", CALLED, healthy=True),
    Watcher("w11", "a", healthy=False),
    Watcher("w12", CALLED, healthy=False),
    Watcher("w13", "ab", healthy=True),
)
PARTS = (
    Part("python", BLOCKING, SLOTS[0:3], WATCHERS[0:2], mortal=False, calls=True),
    Part("asyncio", ASYNCIO, SLOTS[3:6], WATCHERS[2:4], mortal=False, calls=True),
    Part("python-2", BLOCKING, SLOTS[6:8], (), mortal=True),
    Part("asyncio-2", ASYNCIO, SLOTS[8:10], WATCHERS[4:6], mortal=True),
    Part("node", NODE, (), WATCHERS[6:8], mortal=False, calls=True),
    Part("go", GO, (), WATCHERS[8:10], mortal=False, calls=True),
    Part("c", C, (), WATCHERS[10:12], mortal=False, calls=True),
    Part("rust", RUST, (), WATCHERS[12:14], mortal=False, calls=True),
    # Last, as the callers are to end before them.
    *(
        Part(f"{language}-provider", command, (slot,), (), mortal=True)
        for language, command, slot in zip(
            ("python", "asyncio", "node", "go", "c", "rust"),
            (BLOCKING, ASYNCIO, NODE, GO, C, RUST),
            SERVED,
            strict=True,
        )
    ),
)
