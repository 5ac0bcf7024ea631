"""The states that a service was in, one after the other: what a watcher may have seen, and when."""

from __future__ import annotations

from typing import Protocol

from .shown import Shown

State = frozenset[Shown]


#: How many states a person is shown.
SHOWN = 12


class Line(Protocol):
    """The states of one service as those see it who see all, or only the healthy ones. Places in it are numbers that
    grow, and mean the same however much more becomes known.
    """

    @property
    def latest(self) -> State: ...

    @property
    def here(self) -> int:
        """The place of the latest."""

    def told(self, start: int) -> list[str]:
        """The states from a place on, some of them, for a person."""

    def find(self, state: State, start: int) -> int | None:
        """The first place, not before `start`, at which it was, or may have been, in this state."""


class History(Protocol):
    """Follows a registry past the proxies, from `start` until it is closed."""

    def start(self) -> None: ...

    def close(self) -> None: ...

    def line(self, service: str, healthy: bool) -> Line: ...

    @property
    def length(self) -> str:
        """How much it knows, in words."""
