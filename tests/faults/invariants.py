"""What holds after every fault on every registry. Each check says what is wrong, in words; what one registry alone is
asked is in `etcd_invariants.py` and `consul_invariants.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import callsheet
from servers import Cluster, Consul
from servers.sockets import connections

if TYPE_CHECKING:
    from scene import Scene


def until_none(wrong: Callable[[], list[str]], deadline: float) -> None:
    """Waits until nothing is wrong any more."""
    end = time.monotonic() + deadline
    pause = 0.01
    while found := wrong():
        assert time.monotonic() < end, f"still wrong after {deadline:g} s: " + "; ".join(found)
        time.sleep(pause)
        # Each look asks several servers, and what is looked at needs the processor too.
        pause = min(2 * pause, 0.5)


def watched(scene: Scene, truth: Mapping[str, Sequence[dict[str, Any]]], names: Sequence[str]) -> list[str]:
    """Every watcher's snapshot, and the list of names, equal what was just read of the registry."""
    wrong = []
    for service, follower in scene.followers.items():
        latest = follower.latest
        there = sorted(truth.get(service, []), key=lambda instance: str(instance["id"]))
        if latest is None or latest.freshness != "live":
            wrong.append(f"{service} is not live: {follower.told()}")
        elif [shown(instance) for instance in latest] != there:
            wrong.append(f"{service} is seen as {follower.told()}, and is {[i['id'] for i in there][:20]}")
    if scene.names != sorted(names):
        wrong.append(f"the services are seen as {scene.names[:20]}, and are {sorted(names)[:20]}")
    return wrong


def counted(scene: Scene) -> list[str]:
    """Each client says of itself what the test knows of it."""
    open_here, services = len(scene.registrations), len(scene.followers)
    provider, consumer = scene.provider.stats(), scene.consumer.stats()
    said = {
        "registrations": (provider["registrations"], open_here),
        "registered": (provider["registered"], open_here),
        "watched services": (consumer["watched_services"], services),
        "live services": (consumer["live_services"], services),
        "subscribers": (consumer["subscribers"], services),
    }
    return [f"{what}: {is_} instead of {should}" for what, (is_, should) in said.items() if is_ != should]


def unregistered(scene: Scene) -> list[str]:
    """The registrations that say of themselves that they are not."""
    return [
        f"{registration.id} is {registration.state}: {registration.last_error}"
        for registration in scene.registrations
        if registration.state != "registered"
    ]


def left_open(scene: Scene) -> list[str]:
    """Connections that are there once both clients were closed."""
    open_still = connections(every_endpoint(scene.server))
    return [f"connections were left: {dict(open_still)}"] if open_still else []


def every_endpoint(server: Cluster | Consul) -> list[str]:
    """Past the proxies and through them."""
    return [*(member.endpoint for member in server.members), *(proxy.endpoint for proxy in server.proxies)]


def shown(instance: callsheet.Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "service": instance.service,
        "address": instance.address,
        "port": instance.port,
        "scheme": instance.scheme,
        "tags": list(instance.tags),
        "metadata": dict(instance.metadata),
        "weight": instance.weight,
        "zone": instance.zone,
        "version": instance.version,
        "status": instance.status,
    }
