"""What holds after every fault on Consul, asked of its agents and of its catalog by consistent reads."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from invariants import counted, every_endpoint, shown, unregistered, watched
from servers import Instance
from servers.sockets import connections

if TYPE_CHECKING:
    from consul_scene import ConsulScene

# Queries that wait at one agent, of all clients of a process; and what one client may have open beside these. An agent
# takes 200 connections of an address.
POLLS = 128
CALLS = 32
OWNER = "callsheet-owner"
# What can be looked up; Consul lets services have other names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")

Found = dict[str, list[Instance]]


def at_work(scene: ConsulScene) -> list[str]:
    """What is wrong while both clients are open."""
    found = _found(scene)
    return [
        *_at_agents(scene),
        *_in_catalog(scene, found),
        *_watched(scene, found),
        *counted(scene),
        *_connections(scene),
    ]


def not_withdrawn(scene: ConsulScene) -> list[str]:
    """Services and checks of a client that is closed."""
    wrong = []
    for agent in scene.consul.members:
        left = [id for id, service in agent.local.services().items() if OWNER in (service["Meta"] or {})]
        left += [check for check in agent.local.checks() if check.startswith("callsheet:")]
        wrong += [f"{one} was left at {agent.name}" for one in left]
    known = scene.placed | scene.beside
    there = ((service, one.id) for service, instances in _found(scene).items() for one in instances)
    return wrong + [f"{one} was left in the catalog" for one in there if one not in known]


def _found(scene: ConsulScene) -> Found:
    names = scene.consul.catalog.services().keys() - {"consul"}
    return {service: scene.consul.catalog.instances(service) for service in sorted(names)}


def _at_agents(scene: ConsulScene) -> list[str]:
    """Each live registration is at its agent once, with a check that passes, and no closed one is anywhere."""
    wrong = unregistered(scene)
    wanted = {registration.id: registration.instance for registration in scene.registrations}
    for agent in scene.consul.members:
        services, checks = agent.local.services(), agent.local.checks()
        ours = wanted if agent is scene.agent else {}
        theirs = {id for _, id in scene.beside} if agent is scene.agent else set()
        for id, instance in ours.items():
            check = checks.get(f"callsheet:{id}", {})
            if id not in services:
                wrong.append(f"{id} is not at {agent.name}")
            elif (found := _of_agent(services[id])) != _same_of(shown(instance)):
                wrong.append(f"{id} is {found} at {agent.name}")
            elif (check.get("ServiceID"), check.get("Status")) != (id, "passing"):
                wrong.append(f"{id} has the check {check} at {agent.name}")
        wrong += [f"{id} is at {agent.name}, and should not" for id in services.keys() - ours.keys() - theirs]
        known = {f"callsheet:{id}" for id in ours}
        stray = (check for check in checks if check.startswith("callsheet:") and check not in known)
        wrong += [f"the check {check} is at {agent.name}, and should not" for check in stray]
    return wrong


def _in_catalog(scene: ConsulScene, found: Found) -> list[str]:
    """The same in the catalog, on the node of that agent and on no other."""
    wrong = []
    there = Counter((service, one.id) for service, instances in found.items() for one in instances)
    passing = {
        (service, one.id)
        for service, instances in found.items()
        for one in instances
        if one.node == scene.agent.name and one.status == "passing"
    }
    wanted = {(registration.instance.service, registration.id) for registration in scene.registrations}
    wrong += [f"{one} does not pass on {scene.agent.name}" for one in sorted(wanted - passing)]
    known = wanted | scene.placed | scene.beside
    wrong += [f"{one} is in the catalog, and should not" for one in there if one not in known]
    wrong += [f"{one} is in the catalog {there[one]} times" for one in sorted(known) if there[one] != 1]
    return wrong


def _watched(scene: ConsulScene, found: Found) -> list[str]:
    """Every watcher's snapshot equals a fresh consistent read."""
    truth = {
        service: [_of_catalog(service, one) for one in found.get(service, [])] for service in scene.followers
    }
    return watched(scene, truth, [name for name in ("consul", *found) if NAME.fullmatch(name)])


def _connections(scene: ConsulScene) -> list[str]:
    """No more than there are queries that wait, and a few that do not."""
    count = connections(every_endpoint(scene.consul)).total()
    most = min(POLLS, len(scene.followers) + 1) + len(scene.clients) * CALLS
    return [f"{count} connections, of {most} at most"] if count > most else []


def _of_agent(service: dict[str, Any]) -> dict[str, Any]:
    meta = service["Meta"] or {}
    return {
        "service": service["Service"],
        "address": service["Address"],
        "port": service["Port"],
        "tags": list(service["Tags"] or []),
        "metadata": {key: value for key, value in meta.items() if not key.startswith("callsheet-")},
        "weight": service["Weights"]["Passing"],
    }


def _same_of(instance: dict[str, Any]) -> dict[str, Any]:
    return {key: instance[key] for key in ("service", "address", "port", "tags", "metadata", "weight")}


def _of_catalog(service: str, one: Instance) -> dict[str, Any]:
    return {
        "id": one.id,
        "service": service,
        "address": one.address,
        "port": one.port,
        "scheme": one.meta.get("callsheet-scheme", "http"),
        "tags": list(one.tags),
        "metadata": {key: value for key, value in one.meta.items() if not key.startswith("callsheet-")},
        "weight": one.weight,
        "zone": one.meta.get("callsheet-zone", ""),
        "version": one.meta.get("callsheet-version", ""),
        "status": "draining" if one.status == "maintenance" else one.status,
    }
