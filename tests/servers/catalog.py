"""What all agents of a Consul have in common, read and changed by a test: nodes, their services and checks, the leader.
Asks whichever agent answers. What one agent alone knows is in `local.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .api import Api, may_serve_later
from .web import Refused, Unreachable

DEADLINE = 20.0
MAINTENANCE = ("_node_maintenance", "_service_maintenance:")
# From good to bad; maintenance is a critical check of a name of its own.
STATUSES = ("passing", "warning", "critical", "maintenance")


@dataclass(frozen=True)
class Instance:
    """As `/v1/health/service/…` has it."""

    id: str
    node: str
    address: str
    """The node's where the service has none."""
    port: int
    tags: tuple[str, ...]
    meta: dict[str, str]
    weight: int
    """While it passes."""
    status: str
    """The worst of its checks and its node's, one of `STATUSES`."""
    checks: dict[str, str]
    """Id → status, those of its node included."""
    raw: dict[str, Any] = field(repr=False, compare=False)


class Catalog:
    """`apis` says each time whom to ask, best first. `dc` is the datacenter, of the agent that is asked when None."""

    def __init__(self, apis: Callable[[], list[Api]]) -> None:
        self._apis = apis

    # --- Services -----------------------------------------------------------------------------------------------

    def services(self, *, dc: str | None = None) -> dict[str, list[str]]:
        """Name → tags of all its instances, sorted; `consul` is one of them."""
        return {name: sorted(tags) for name, tags in self.call("GET", "catalog/services", dc=dc).items()}

    def instances(self, service: str, *, passing: bool = False, dc: str | None = None) -> list[Instance]:
        """By id. A consistent read."""
        found = self.call("GET", f"health/service/{service}", passing=passing, dc=dc, consistent=True)
        return sorted(
            (_instance(entry) for entry in found), key=lambda instance: (instance.id, instance.node)
        )

    def ids(self, service: str, *, passing: bool = False, dc: str | None = None) -> list[str]:
        return [instance.id for instance in self.instances(service, passing=passing, dc=dc)]

    def index(self, service: str, *, dc: str | None = None) -> int:
        """X-Consul-Index of its instances."""
        return int(self._try(lambda api: _index(api, f"health/service/{service}", dc)))

    # --- Nodes without an agent, and what agents registered (which they do again when they sync) -----------------

    def register(
        self,
        node: str,
        service: str,
        port: int,
        *,
        id: str | None = None,
        node_address: str = "127.0.0.1",
        address: str = "",
        tags: Sequence[str] = (),
        meta: Mapping[str, str] | None = None,
        status: str = "passing",
        dc: str | None = None,
    ) -> None:
        """With one check, of that status."""
        id = id or service
        entry = {
            "Node": node,
            "Address": node_address,
            "Datacenter": dc,
            # On a node of that name that has an agent: leave the node as it is.
            "SkipNodeUpdate": node in self.nodes(dc=dc),
            "Service": {
                "ID": id,
                "Service": service,
                "Address": address,
                "Port": port,
                "Tags": list(tags),
                "Meta": dict(meta or {}),
            },
            "Check": {"CheckID": f"service:{id}", "Name": id, "ServiceID": id, "Status": status},
        }
        self.call("PUT", "catalog/register", entry)

    def deregister(self, node: str, id: str | None = None, *, dc: str | None = None) -> None:
        """One service of it, or the node with everything."""
        self.call("PUT", "catalog/deregister", {"Node": node, "ServiceID": id, "Datacenter": dc})

    # --- Nodes --------------------------------------------------------------------------------------------------

    def nodes(self, *, dc: str | None = None) -> dict[str, str]:
        """Name → address."""
        return {node["Node"]: node["Address"] for node in self.call("GET", "catalog/nodes", dc=dc)}

    def checks_of_node(self, node: str, *, dc: str | None = None) -> dict[str, str]:
        """Id → status, those of its services included; `serfHealth` is whether gossip finds the agent alive."""
        found = self.call("GET", f"health/node/{node}", dc=dc, consistent=True)
        return {check["CheckID"]: check["Status"] for check in found}

    def datacenters(self) -> list[str]:
        return sorted(self.call("GET", "catalog/datacenters"))

    def leader(self, *, dc: str | None = None) -> str:
        """host:port of the server that leads, as servers know each other; waits while there is none."""
        until = time.monotonic() + DEADLINE
        while not (leader := str(self.call("GET", "status/leader", dc=dc) or "")):
            if time.monotonic() > until:
                raise Unreachable("no server leads")
            time.sleep(0.02)
        return leader

    # --- One call -----------------------------------------------------------------------------------------------

    def call(self, verb: str, path: str, body: Any = None, **query: Any) -> Any:
        """As `Api.call`. While no agent answers, or they have no leader, it tries again: what isn't idempotent may
        happen twice.
        """
        return self._try(lambda api: api.call(verb, path, body, **query))

    def _try(self, ask: Callable[[Api], Any]) -> Any:
        until = time.monotonic() + DEADLINE
        while True:
            failed: Exception = Unreachable("no agent serves")
            for api in self._apis():
                try:
                    return ask(api)
                except Unreachable as error:
                    failed = error
                except Refused as error:
                    if not may_serve_later(error):
                        raise
                    failed = error
            if time.monotonic() > until:
                raise failed
            time.sleep(0.02)


def _index(api: Api, path: str, dc: str | None) -> int:
    answer = api.answer("GET", path, dc=dc, consistent=True)
    if answer.status != 200:
        raise Refused(answer.status, answer.body.decode(errors="replace"))
    return int(answer.headers["X-Consul-Index"])


def _instance(entry: dict[str, Any]) -> Instance:
    service, checks = entry["Service"], entry["Checks"]
    statuses = [
        "maintenance" if check["CheckID"].startswith(MAINTENANCE) else check["Status"] for check in checks
    ]
    return Instance(
        id=service["ID"],
        node=entry["Node"]["Node"],
        address=service["Address"] or entry["Node"]["Address"],
        port=service.get("Port", 0),
        tags=tuple(service["Tags"] or ()),
        meta=dict(service["Meta"] or {}),
        weight=service["Weights"]["Passing"],
        status=max(statuses, key=STATUSES.index, default="passing"),
        checks={check["CheckID"]: check["Status"] for check in checks},
        raw=entry,
    )
