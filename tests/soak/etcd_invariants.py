"""What must hold of etcd once everything is healed: its keys and its leases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .shown import shown

if TYPE_CHECKING:
    from servers import Entry, Lease

    from .ledger import Ledger


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
