"""All client processes, and what is asked of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from servers import ports

from .parts import CALLED, PARTS, SERVED
from .presence import Presence
from .process import Process

if TYPE_CHECKING:
    from socket import socket

    from .ground import Ground
    from .ledger import Entry, Ledger
    from .parts import Watcher
    from .track import Track


class Crew:
    def __init__(self, ground: Ground, ledger: Ledger, logs: Path) -> None:
        self.ledger = ledger
        self.presence = Presence(max(slot.ttl for slot in SERVED), ground.late, ground.keepers)
        self.processes: dict[str, Process] = {}
        self._holders = _hold(len(SERVED))
        self._ports = {slot.name: port for slot, port in zip(SERVED, self._holders, strict=True)}
        try:
            for part in PARTS:
                log = logs / f"{part.name}.log"
                self.processes[part.name] = Process(
                    part, ground.url(part), ground.endpoints, ground.history, self.presence, log
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
            "serve" if slot.served else "open",
            slot=slot.name,
            service=slot.service,
            address=slot.address,
            port=self._ports.get(slot.name, slot.port),
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

    # --- Providers ----------------------------------------------------------------------------------------------

    def crash(self, name: str) -> None:
        """SIGKILL, for a while."""
        process = self.processes[name]
        (slot,) = process.part.slots
        at = time.time()
        process.kill()
        self.presence.left(slot.name, at)
        self.ledger.act("close", slot.name)

    def leave(self, name: str) -> None:
        """As programs end when they are asked to, for a while."""
        process = self.processes[name]
        (slot,) = process.part.slots
        self.ledger.act("close", slot.name)
        if status := process.end():
            process.problems.append(f"{name} left with status {status}")
        self.presence.left(slot.name, time.time())

    def come_back(self, name: str) -> None:
        self.processes[name].start()
        self.open_provider(name)

    def open_provider(self, name: str) -> None:
        (slot,) = self.processes[name].part.slots
        self._open(self.ledger.act("open", slot.name))

    # --- All ----------------------------------------------------------------------------------------------------

    def call(self) -> None:
        """From now on callers call, until they end."""
        for process in self:
            if process.part.calls:
                process.tell("call", service=CALLED)

    @property
    def lasting(self) -> list[Process]:
        """Without the providers, which come and go."""
        return [process for process in self if not process.part.serves]

    @property
    def well(self) -> bool:
        """All was done that was asked, what is open is registered, and all watchers show what is there."""
        entries = (entry for entry in self.ledger if not entry.slot.served)
        return all(process.well for process in self.lasting) and all(map(self.is_settled, entries))

    def judge_calls(self) -> list[str]:
        """Those that failed for no good reason."""
        return [
            wrong
            for process in self
            for wrong in self.presence.judge(process.part.name, process.failed, process.attempts)
        ]

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
        for holder in self._holders.values():
            holder.close()


def _hold(count: int) -> dict[int, socket]:
    """Ports that are kept from others, also while a provider is away."""
    holders: dict[int, socket] = {}
    while len(holders) < count:
        (port,) = ports.free(1)
        try:
            holders[port] = ports.held(port)
        except OSError:
            pass  # another process was quicker
    return holders
