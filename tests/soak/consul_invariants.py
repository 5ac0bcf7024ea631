"""What must hold of Consul once everything is healed: what its agents know, and what its catalog says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .ledger import Ledger
    from .shown import Shown


def of_catalog(read: Iterable[tuple[str, Shown]], ledger: Ledger) -> list[str]:
    """Each live registration once, with what it was last told, and nothing else. `read`: service and instance."""
    found = list(read)
    wanted = {(entry.slot.service, entry.shown): entry.slot.name for entry in ledger if entry.open}
    there = Counter(found)
    wrong = [f"{name} is not in the catalog as {one}" for one, name in wanted.items() if one not in there]
    wrong += [f"{one} should not be in the catalog" for one in there if one not in wanted]
    return wrong + [f"{one} is in the catalog {times} times" for one, times in there.items() if times > 1]


def of_agents(
    homes: Mapping[str, str],
    services: Mapping[str, Mapping[str, Any]],
    checks: Mapping[str, Mapping[str, Any]],
    ledger: Ledger,
) -> list[str]:
    """Each live registration is at its own agent, with a check that passes, and nothing else is at any. `homes`: slot →
    agent; the others: agent → id → what the agent has.
    """
    wrong = []
    for agent in services:
        wanted = {entry.slot.id for entry in ledger if entry.open and homes[entry.slot.name] == agent}
        wrong += [f"{id} is not at {agent}" for id in sorted(wanted - services[agent].keys())]
        wrong += [f"{id} should not be at {agent}" for id in sorted(services[agent].keys() - wanted)]
        ours = {name: check for name, check in checks[agent].items() if name.startswith("callsheet:")}
        passing = {check["ServiceID"] for check in ours.values() if check["Status"] == "passing"}
        wrong += [f"{id} has no check that passes at {agent}" for id in sorted(wanted - passing)]
        stray = {check["ServiceID"] for check in ours.values()} - wanted
        wrong += [f"a check of {id} is left at {agent}" for id in sorted(stray)]
    return wrong
