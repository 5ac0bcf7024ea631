"""What must hold once everything is healed: the store, its leases, and all watchers, held side by side."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .parts import PREFIX, SERVICES
from .shown import Shown, is_healthy, shown

if TYPE_CHECKING:
    from servers import Entry, Store

    from .crew import Crew
    from .ledger import Ledger


def differences(store: Store, crew: Crew) -> list[str]:
    """What is not as it should be, in words."""
    stored = store.prefix(PREFIX)
    wrong = [
        *_of_store(stored, crew.ledger),
        *_of_leases(store, stored, crew.ledger),
        *_of_watchers(stored, crew),
    ]
    for process in crew:
        wrong += [f"{process.part.name} has not answered {len(process.unanswered)} commands"] * bool(
            process.unanswered
        )
    wrong += [f"{entry.slot.name} is not settled" for entry in crew.ledger if not crew.is_settled(entry)]
    return wrong


def _of_store(stored: dict[str, Entry], ledger: Ledger) -> list[str]:
    """Each live registration once, with what it was last told, and nothing else."""
    wrong = []
    wanted = {entry.slot.key: entry for entry in ledger if entry.open}
    for key, entry in wanted.items():
        found = shown(key, stored[key].value) if key in stored else None
        if found != (entry.slot.service, entry.shown):
            there = found[1] if found else "not there"
            wrong.append(f"{entry.slot.name} should be {entry.shown!r} in the store, and is {there!r}")
    wrong += [f"{key} should not be in the store" for key in stored if key not in wanted]
    ids = Counter(key.rpartition("/")[2] for key in stored)
    return wrong + [f"{one} is in the store {times} times" for one, times in ids.items() if times > 1]


def _of_leases(store: Store, stored: dict[str, Entry], ledger: Ledger) -> list[str]:
    """Each live registration has one, and none is there for anything else."""
    keys = {entry.slot.key for entry in ledger if entry.open}
    wrong = [f"{key} has no lease" for key in keys if key in stored and not stored[key].lease]
    for lease in store.leases():
        holds = store.lease(lease)
        if not keys.intersection(holds.keys):
            wrong.append(f"lease {lease:x} is left, with {holds.ttl} s of {holds.granted} and {holds.keys}")
    return wrong


def _of_watchers(stored: dict[str, Entry], crew: Crew) -> list[str]:
    """Live, and what a fresh read of the service gives."""
    lists: dict[str, set[Shown]] = {service: set() for service in SERVICES}
    for key, entry in stored.items():
        if (instance := shown(key, entry.value)) is not None:
            lists[instance[0]].add(instance[1])
    wrong = []
    for process in crew:
        for watcher in process.part.watchers:
            track = process.tracks[watcher.name]
            truth = (
                set(filter(is_healthy, lists[watcher.service])) if watcher.healthy else lists[watcher.service]
            )
            if track.freshness != "live":
                wrong.append(f"{watcher.name} ({process.part.name}) is {track.freshness or 'without a list'}")
            if track.last != truth:
                wrong.append(
                    f"{watcher.name} ({process.part.name}) of {watcher.service!r} lacks "
                    f"{sorted(truth - track.last)} and has {sorted(track.last - truth)}"
                )
    return wrong
