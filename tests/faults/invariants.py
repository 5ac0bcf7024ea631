"""What holds after every fault, asked of etcd itself by its own gateway. Each check says what is wrong, in words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import callsheet
from footprint import connections
from servers import Cluster, Entry

if TYPE_CHECKING:
    from scene import Scene

# Of etcd's own metrics: watched ranges, and the streams that they are on.
WATCHERS = "etcd_debugging_mvcc_watcher_total"
STREAMS = "etcd_debugging_mvcc_watch_stream_total"


def until_none(wrong: Callable[[], list[str]], deadline: float) -> None:
    """Waits until nothing is wrong any more."""
    end = time.monotonic() + deadline
    pause = 0.01
    while found := wrong():
        assert time.monotonic() < end, f"still wrong after {deadline:g} s: " + "; ".join(found)
        time.sleep(pause)
        # Each look asks several servers, and what is looked at needs the processor too.
        pause = min(2 * pause, 0.5)


def at_work(scene: Scene) -> list[str]:
    """What is wrong while both clients are open."""
    stored = scene.etcd.store.prefix("")
    return [
        *_registered(scene, stored),
        *_watched(scene, stored),
        *_leases(scene, stored),
        *_counted(scene),
        *_streams(scene),
    ]


def not_withdrawn(scene: Scene) -> list[str]:
    """What a client that is closed should have taken with it before it said so."""
    stored = scene.etcd.store.prefix("")
    theirs = {entry.lease for entry in stored.values()}
    return [
        *(f"{key} was left" for key in stored if key not in scene.placed | scene.garbage),
        *(f"lease {lease} was left" for lease in scene.etcd.store.leases() if lease not in theirs),
    ]


def left_open(scene: Scene) -> list[str]:
    """What is wrong a moment after both clients were closed."""
    wrong = [
        f"{metric} is {count:g}" for metric in (WATCHERS, STREAMS) if (count := gauge(scene.etcd, metric)) > 0
    ]
    if open_still := connections(every_endpoint(scene.etcd)):
        wrong.append(f"connections were left: {dict(open_still)}")
    return wrong


def _registered(scene: Scene, stored: dict[str, Entry]) -> list[str]:
    """Each live registration is there exactly once, and no closed one is."""
    wrong = []
    wanted = {}
    for registration in scene.registrations:
        wanted[scene.key(registration)] = registration.instance
        if registration.state != "registered":
            wrong.append(f"{registration.id} is {registration.state}: {registration.last_error}")
    for key, instance in wanted.items():
        entry = stored.get(key)
        if entry is None:
            wrong.append(f"{key} is not there")
        elif not entry.lease:
            wrong.append(f"{key} has no lease")
        elif (found := _decoded(entry.value)) != _of(instance):
            wrong.append(f"{key} is {found}")
    known = wanted.keys() | scene.placed | scene.garbage
    wrong += [f"{key} is there, and should not" for key in stored if key not in known]
    wrong += [f"{key} is gone, which nobody asked for" for key in scene.placed - stored.keys()]
    return wrong


def _watched(scene: Scene, stored: dict[str, Entry]) -> list[str]:
    """Every watcher's snapshot equals a fresh prefix read."""
    wrong = []
    instances: dict[str, list[dict[str, Any]]] = {}
    for key, entry in stored.items():
        if key not in scene.garbage:
            service = key.removeprefix(scene.prefix).partition("/")[0]
            instances.setdefault(service, []).append(_decoded(entry.value))
    for service, follower in scene.followers.items():
        latest = follower.latest
        truth = sorted(instances.get(service, []), key=lambda instance: str(instance["id"]))
        if latest is None or latest.freshness != "live":
            wrong.append(f"{service} is not live: {follower.told()}")
        elif [_of(instance) for instance in latest] != truth:
            wrong.append(f"{service} is seen as {follower.told()}, and is {[i['id'] for i in truth][:20]}")
    # Names are known by keys alone.
    keys = (key.removeprefix(scene.prefix).split("/") for key in stored)
    names = sorted({parts[0] for parts in keys if len(parts) == 2 and all(parts)})
    if scene.names != names:
        wrong.append(f"the services are seen as {scene.names[:20]}, and are {names[:20]}")
    return wrong


def _leases(scene: Scene, stored: dict[str, Entry]) -> list[str]:
    """No lease without a key, and one for all registrations, whose TTL is the same."""
    held = {entry.lease for entry in stored.values()}
    wrong = [f"lease {lease} has no key" for lease in scene.etcd.store.leases() if lease not in held]
    ours = {entry.lease for key, entry in stored.items() if key not in scene.placed | scene.garbage}
    if len(ours) > 1:
        wrong.append(f"{len(ours)} leases where one would do")
    return wrong


def _counted(scene: Scene) -> list[str]:
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


def _streams(scene: Scene) -> list[str]:
    """One connection and one watch stream a client, and on it one watcher for each thing watched: a registration's own
    key, a service, all names.
    """
    wrong = []
    providing, consuming = len(scene.registrations), len(scene.followers) + 1
    clients = bool(providing) + 1
    streams, watchers = gauge(scene.etcd, STREAMS), gauge(scene.etcd, WATCHERS)
    if streams != clients:
        wrong.append(f"{streams:g} watch streams instead of {clients}")
    # 3.4 counts one down twice when it ends by itself as its stream does.
    exact = scene.etcd.options.version == "new"
    if watchers > providing + consuming or (exact and watchers < providing + consuming):
        wrong.append(f"{watchers:g} watchers instead of {providing + consuming}")
    if (count := connections(every_endpoint(scene.etcd)).total()) != clients:
        wrong.append(f"{count} connections instead of {clients}")
    return wrong


def gauge(etcd: Cluster, metric: str) -> float:
    """Of all members that serve."""
    return sum(member.metrics().get(metric, 0) for member in etcd.members if member.serving)


def every_endpoint(etcd: Cluster) -> list[str]:
    """Past the proxies and through them."""
    return [*(member.endpoint for member in etcd.members), *(proxy.endpoint for proxy in etcd.proxies)]


def _of(instance: callsheet.Instance) -> dict[str, Any]:
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


def _decoded(value: bytes) -> dict[str, Any]:
    """With the defaults of what a foreign tool leaves out."""
    said = json.loads(value)
    said.pop("owner", None)
    defaults = {"scheme": "http", "tags": [], "metadata": {}, "weight": 1, "zone": "", "version": ""}
    return {**defaults, "status": "passing", **said}
