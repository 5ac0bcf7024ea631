"""What must hold once everything is healed: the store, its leases, and all watchers, held side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .parts import PREFIX
from .shown import is_healthy, shown

if TYPE_CHECKING:
    from servers import Entry, Lease, Store

    from .crew import Crew
    from .ledger import Ledger
    from .parts import Watcher
    from .track import Track


def differences(store: Store, crew: Crew) -> list[str]:
    """What is not as it should be, in words."""
    stored = store.prefix(PREFIX)
    leases = {lease: store.lease(lease) for lease in store.leases()}
    watchers = [
        (watcher, process.tracks[watcher.name]) for process in crew for watcher in process.part.watchers
    ]
    return [
        *of_store(stored, crew.ledger),
        *of_leases(leases, stored, crew.ledger),
        *of_watchers(watchers, stored),
        *(f"{process.part.name} has not answered everything" for process in crew if process.unanswered),
        *(f"{entry.slot.name} is not settled" for entry in crew.ledger if not crew.is_settled(entry)),
    ]


def of_store(stored: Mapping[str, Entry], ledger: Ledger) -> list[str]:
    """Each live registration once, with what it was last told, and nothing else."""
    wrong = []
    wanted = {entry.slot.key: entry for entry in ledger if entry.open}
    for key, entry in wanted.items():
        found = shown(key, stored[key].value) if key in stored else None
        if found != (entry.slot.service, entry.shown):
            there = repr(found[1]) if found else "not there"
            wrong.append(f"{entry.slot.name} should be {entry.shown!r} in the store, and is {there}")
    wrong += [f"{key} should not be in the store" for key in stored if key not in wanted]
    ids = Counter(key.rpartition("/")[2] for key in stored)
    return wrong + [f"{one} is in the store {times} times" for one, times in ids.items() if times > 1]


def of_leases(leases: Mapping[int, Lease], stored: Mapping[str, Entry], ledger: Ledger) -> list[str]:
    """Each live registration has one, and none is there for anything else."""
    keys = {entry.slot.key for entry in ledger if entry.open}
    wrong = [f"{key} has no lease" for key in sorted(keys & stored.keys()) if not stored[key].lease]
    for number, lease in leases.items():
        if not keys.intersection(lease.keys):
            wrong.append(f"lease {number:x} is left, with {lease.ttl} of {lease.granted} s and {lease.keys}")
    return wrong


def of_watchers(watchers: Iterable[tuple[Watcher, Track]], stored: Mapping[str, Entry]) -> list[str]:
    """Live, and what a fresh read of the service gives."""
    read = [instance for key, entry in stored.items() if (instance := shown(key, entry.value)) is not None]
    wrong = []
    for watcher, track in watchers:
        truth = {word for service, word in read if service == watcher.service}
        truth = set(filter(is_healthy, truth)) if watcher.healthy else truth
        if track.freshness != "live":
            wrong.append(f"{watcher.name} is {track.freshness or 'without a list'}")
        if track.last != truth:
            lacks, has = sorted(truth - track.last), sorted(track.last - truth)
            wrong.append(f"{watcher.name} of {watcher.service!r} lacks {lacks} and has {has}")
    return wrong
