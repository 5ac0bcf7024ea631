"""What one agent of a Consul knows of itself, read and changed by a test: its services and checks, whom it sees."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .api import Api

Status = Literal["passing", "warning", "critical"]
# What the numbers of `agent/members` stand for.
MEMBER_STATUSES = ("none", "alive", "leaving", "left", "failed")
METRIC = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$", re.MULTILINE)


class Local:
    """By the agent's own HTTP interface. Fails at once when it isn't there."""

    def __init__(self, api: Api) -> None:
        self.api = api

    # --- Services and checks ------------------------------------------------------------------------------------

    def services(self) -> dict[str, dict[str, Any]]:
        """Id → as `/v1/agent/services` has it."""
        return dict(self.api.call("GET", "agent/services"))

    def checks(self) -> dict[str, dict[str, Any]]:
        """Id → as `/v1/agent/checks` has it."""
        return dict(self.api.call("GET", "agent/checks"))

    def register(
        self,
        service: str,
        port: int,
        *,
        id: str | None = None,
        address: str = "",
        tags: Sequence[str] = (),
        meta: Mapping[str, str] | None = None,
        weight: int | None = None,
        check: Mapping[str, object] | None = None,
    ) -> None:
        """As another tool would. `check` as Consul has it: `{"TTL": "10s"}`, `{"HTTP": …, "Interval": …}`; its id is
        `service:` and the service's unless it says otherwise.
        """
        entry: dict[str, object] = {
            "ID": id or service,
            "Name": service,
            "Port": port,
            "Address": address,
            "Tags": list(tags),
            "Meta": dict(meta or {}),
        }
        if weight is not None:
            entry["Weights"] = {"Passing": weight, "Warning": 1}
        if check is not None:
            entry["Check"] = dict(check)
        self.api.call("PUT", "agent/service/register", entry)

    def deregister(self, id: str) -> None:
        self.api.call("PUT", f"agent/service/deregister/{id}")

    def set_check(self, id: str, status: Status, note: str = "") -> None:
        """Of a TTL check, as whoever keeps it alive would."""
        self.api.call("PUT", f"agent/check/update/{id}", {"Status": status, "Output": note})

    def deregister_check(self, id: str) -> None:
        self.api.call("PUT", f"agent/check/deregister/{id}")

    def maintenance(self, id: str | None = None, *, on: bool = True, reason: str = "") -> None:
        """Of a service, or of the whole node."""
        path = "agent/maintenance" if id is None else f"agent/service/maintenance/{id}"
        self.api.call("PUT", path, enable=str(on).lower(), reason=reason)

    def empty(self) -> None:
        """As if nothing had ever been registered."""
        self.maintenance(on=False)
        for id in self.services():
            self.deregister(id)
        for id in self.checks():
            self.deregister_check(id)

    # --- The agent ----------------------------------------------------------------------------------------------

    def members(self, *, wan: bool = False) -> dict[str, str]:
        """Whom it gossips with: name → one of `MEMBER_STATUSES`. The WAN's are the servers of all datacenters."""
        found = self.api.call("GET", "agent/members", wan="1" if wan else None)
        return {member["Name"]: MEMBER_STATUSES[member["Status"]] for member in found}

    def reload(self) -> None:
        """Its certificates and other files; in force when this returns."""
        self.api.call("PUT", "agent/reload", timeout=20)

    def force_leave(self, node: str) -> None:
        """Tell all that a failed one won't come back."""
        self.api.call("PUT", f"agent/force-leave/{node}")

    def metrics(self) -> dict[str, float]:
        """Name with labels as Prometheus is told them → value."""
        answer = self.api.answer("GET", "agent/metrics", format="prometheus")
        assert answer.status == 200, answer.body
        return {name: float(value) for name, value in METRIC.findall(answer.body.decode())}

    def calls(self, verb: str, path: str) -> int:
        """How many requests of a kind it has answered since it started; `path` with `_` in the place of a name, such as
        `agent/check/update/_`.
        """
        metrics = self.metrics()
        old = f"consul_http_{verb}_v1_{path.replace('/', '_')}_count"
        # Since 1.9 a name is nothing, not `_`.
        name = "_".join("" if part == "_" else part for part in path.split("/"))
        new = f'consul_api_http_count{{method="{verb}",path="v1_{name}"}}'
        return int(metrics.get(new, metrics.get(old, 0)))
