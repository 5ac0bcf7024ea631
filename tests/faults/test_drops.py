"""A network that never lets a connection live."""

from __future__ import annotations

from conftest import NewEtcd, Say
from footprint import Stopwatch
from scene import SETTLED, Scene, lasting
from servers.binaries import Version


def test_19_every_connection_dropped_once_a_second(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version, proxied=True)
    services = [f"a{count}" for count in range(20)]
    with Scene(etcd) as scene:
        for port, service in enumerate(services[:10], 1):
            scene.register(service, port)
        for service in services:
            scene.follow(service)
        scene.steady()
        before = {key: etcd.store.get(key) for key in map(scene.key, scene.registrations)}
        began, drops, slowest = Stopwatch(), 0, 0.0
        while began.seconds < 60:
            etcd.proxies[0].cut()
            drops += 1
            slowest = max(slowest, scene.probe([services[drops % len(services)]], SETTLED))
            lasting(drops - began.seconds)
        scene.probe(services, SETTLED)
        assert {key: etcd.store.get(key) for key in before} == before, "registrations had no gap"
        say(f"{drops} drops; a change was seen within {slowest:.2f} s of one")
