"""What a reader should see of what `/v1/health/service/…` answers: written anew here, so that it does not share the
core's mistakes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .shown import Shown, word


def shown_all(entries: Sequence[dict[str, Any]]) -> dict[str, tuple[Shown, object]]:
    """Id → the instance, and what names this very state of its entry. What is none is left out."""
    usable = [entry for entry in entries if _is_instance(entry)]
    times = Counter(_id(entry) for entry in usable)
    found = {}
    for entry in usable:
        id = _id(entry)
        # Ids are unique at an agent, not in a datacenter.
        id = id if times[id] == 1 else f"{id}@{entry['Node']['Node']}"
        n = (entry["Service"]["Meta"] or {}).get("n", "")
        found[id] = (word(id, n, _status(entry["Checks"])), _stamp(entry))
    return found


def _is_instance(entry: dict[str, Any]) -> bool:
    service = entry["Service"]
    return bool(service["Address"] or entry["Node"]["Address"]) and 0 < service.get("Port", 0) < 65536


def _id(entry: dict[str, Any]) -> str:
    service = entry["Service"]
    return str((service["Meta"] or {}).get("callsheet-id", service["ID"]))


def _status(checks: Sequence[dict[str, Any]]) -> str:
    if any(check["CheckID"].startswith(("_node_maintenance", "_service_maintenance:")) for check in checks):
        return "draining"
    statuses = {check["Status"] for check in checks}
    return next((status for status in ("critical", "warning") if status in statuses), "passing")


def _stamp(entry: dict[str, Any]) -> object:
    checks = sorted((check["CheckID"], check["ModifyIndex"]) for check in entry["Checks"])
    service = entry["Service"]
    return service["CreateIndex"], service["ModifyIndex"], tuple(checks)
