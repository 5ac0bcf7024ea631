"""What should be registered: what was last asked of each registration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .parts import REGISTERED, Slot
from .shown import Shown, word


@dataclass
class Entry:
    slot: Slot
    open: bool = False
    draining: bool = False
    n: int = 0
    """Of its last update; never used twice, so that an old list is known by it."""

    @property
    def shown(self) -> Shown:
        return word(self.slot.id, self.n, "draining" if self.draining else "passing")


class Ledger:
    def __init__(self) -> None:
        self._entries = {slot.name: Entry(slot) for slot in REGISTERED}

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def act(self, kind: str, name: str) -> Entry:
        """Open, update, drain or close one."""
        entry = self._entries[name]
        if kind in ("open", "update"):
            entry.n += 1
        if kind in ("open", "close"):
            entry.open, entry.draining = kind == "open", False
        if kind == "drain":
            entry.draining = True
        return entry
