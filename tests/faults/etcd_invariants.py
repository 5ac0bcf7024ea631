"""What holds after every fault on etcd, asked of etcd itself by its own gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from invariants import counted, every_endpoint, shown, unregistered, watched
from servers import Cluster, Entry
from servers.sockets import connections

if TYPE_CHECKING:
    from etcd_scene import EtcdScene

# Of etcd's own metrics: watched ranges, and the streams that they are on.
WATCHERS = "etcd_debugging_mvcc_watcher_total"
STREAMS = "etcd_debugging_mvcc_watch_stream_total"


def at_work(scene: EtcdScene) -> list[str]:
    """What is wrong while both clients are open."""
    stored = scene.etcd.store.prefix("")
    return [
        *_registered(scene, stored),
        *_watched(scene, stored),
        *_leases(scene, stored),
        *counted(scene),
        *_streams(scene),
    ]


def not_withdrawn(scene: EtcdScene) -> list[str]:
    """Keys and leases of a client that is closed."""
    stored = scene.etcd.store.prefix("")
    theirs = {entry.lease for entry in stored.values()}
    return [
        *(f"{key} was left" for key in stored if key not in scene.placed | scene.garbage),
        *(f"lease {lease} was left" for lease in scene.etcd.store.leases() if lease not in theirs),
    ]


def still_served(etcd: Cluster) -> list[str]:
    """Watchers and streams that are there once both clients were closed."""
    return [f"{metric} is {count:g}" for metric in (WATCHERS, STREAMS) if (count := gauge(etcd, metric)) > 0]


def _registered(scene: EtcdScene, stored: dict[str, Entry]) -> list[str]:
    """Each live registration is there exactly once, and no closed one is."""
    wrong = unregistered(scene)
    wanted = {scene.key(registration): registration.instance for registration in scene.registrations}
    for key, instance in wanted.items():
        entry = stored.get(key)
        if entry is None:
            wrong.append(f"{key} is not there")
        elif not entry.lease:
            wrong.append(f"{key} has no lease")
        elif (found := _decoded(entry.value)) != shown(instance):
            wrong.append(f"{key} is {found}")
    known = wanted.keys() | scene.placed | scene.garbage
    wrong += [f"{key} is there, and should not" for key in stored if key not in known]
    wrong += [f"{key} is gone, which nobody asked for" for key in scene.placed - stored.keys()]
    return wrong


def _watched(scene: EtcdScene, stored: dict[str, Entry]) -> list[str]:
    """Every watcher's snapshot equals a fresh prefix read."""
    instances: dict[str, list[dict[str, Any]]] = {}
    for key, entry in stored.items():
        if key not in scene.garbage:
            service = key.removeprefix(scene.prefix).partition("/")[0]
            instances.setdefault(service, []).append(_decoded(entry.value))
    # Names are known by keys alone.
    keys = (key.removeprefix(scene.prefix).split("/") for key in stored)
    names = {parts[0] for parts in keys if len(parts) == 2 and all(parts)}
    return watched(scene, instances, sorted(names))


def _leases(scene: EtcdScene, stored: dict[str, Entry]) -> list[str]:
    """No lease without a key, and one for all registrations, whose TTL is the same."""
    held = {entry.lease for entry in stored.values()}
    wrong = [f"lease {lease} has no key" for lease in scene.etcd.store.leases() if lease not in held]
    ours = {entry.lease for key, entry in stored.items() if key not in scene.placed | scene.garbage}
    if len(ours) > 1:
        wrong.append(f"{len(ours)} leases where one would do")
    return wrong


def _streams(scene: EtcdScene) -> list[str]:
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


def _decoded(value: bytes) -> dict[str, Any]:
    """With the defaults of what a foreign tool leaves out."""
    said = json.loads(value)
    said.pop("owner", None)
    defaults = {"scheme": "http", "tags": [], "metadata": {}, "weight": 1, "zone": "", "version": ""}
    return {**defaults, "status": "passing", **said}
