"""All client processes, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .parts import PARTS
from .process import Process

if TYPE_CHECKING:
    from .ground import Ground
    from .ledger import Entry, Ledger
    from .parts import Watcher
    from .track import Track


class Crew:
    def __init__(self, ground: Ground, ledger: Ledger, logs: Path) -> None:
        self.ledger = ledger
        self.processes: dict[str, Process] = {}
        try:
            for part in PARTS:
                log = logs / f"{part.name}.log"
                self.processes[part.name] = Process(
                    part, ground.url(part), ground.endpoints, ground.history, log
                )
        except BaseException:
            self.kill()
            raise
        self._slots = {slot.name: process for process in self for slot in process.part.slots}
        self._watchers = {watcher.name: process for process in self for watcher in process.part.watchers}

    def __iter__(self) -> Iterator[Process]:
        return iter(self.processes.values())

    @property
    def tracks(self) -> list[tuple[Watcher, Track]]:
        """Each watcher, and what it saw."""
        return [
            (watcher, process.tracks[watcher.name]) for process in self for watcher in process.part.watchers
        ]

    def act(self, kind: str, name: str) -> None:
        """Something that a program does with one of its registrations, or watchers."""
        if kind == "rewatch":
            self._watchers[name].watch(name)
            return
        entry = self.ledger.act(kind, name)
        if kind == "open":
            self._open(entry)
        else:
            self._slots[name].tell(kind, slot=name, n=entry.n)

    def _open(self, entry: Entry) -> None:
        slot = entry.slot
        self._slots[slot.name].tell(
            "open",
            slot=slot.name,
            service=slot.service,
            address=slot.address,
            port=slot.port,
            id=slot.id if slot.chosen else None,
            ttl=slot.ttl,
            n=entry.n,
        )

    def die(self, name: str) -> None:
        """SIGKILL, and the same program started again at once."""
        process = self.processes[name]
        process.kill()
        process.start()
        for slot in process.part.slots:
            entry = self.ledger[slot.name]
            if entry.open:
                self._open(entry)
                if entry.draining:
                    process.tell("drain", slot=slot.name)

    @property
    def well(self) -> bool:
        """All was done that was asked, what is open is registered, and all watchers show what is there."""
        return all(process.well for process in self) and all(self.is_settled(entry) for entry in self.ledger)

    def is_settled(self, entry: Entry) -> bool:
        state = self._slots[entry.slot.name].states.get(entry.slot.name, "closed")
        return state == ("registered" if entry.open else "closed")

    def end(self) -> list[str]:
        """Lets all withdraw and end; says who did not."""
        statuses = {process.part.name: process.end() for process in self}
        return [f"{name} ended with status {status}" for name, status in statuses.items() if status != 0]

    def kill(self) -> None:
        for process in self:
            process.kill()
