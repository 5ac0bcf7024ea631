"""A network that never lets a connection live."""

from __future__ import annotations

from conftest import NewServer, Say
from footprint import Stopwatch
from scene import SETTLED, lasting
from scenes import scene_of


def test_19_every_connection_dropped_once_a_second(new_server: NewServer, say: Say) -> None:
    server = new_server(proxied=True)
    services = [f"a{count}" for count in range(20)]
    with scene_of(server) as scene:
        for port, service in enumerate(services[:10], 1):
            scene.register(service, port)
        for service in services:
            scene.follow(service)
        scene.steady()
        before = [scene.stored(registration) for registration in scene.registrations]
        began, drops, slowest = Stopwatch(), 0, 0.0
        while began.seconds < 60:
            server.proxies[0].cut()
            drops += 1
            slowest = max(slowest, scene.probe([services[drops % len(services)]], SETTLED))
            lasting(drops - began.seconds)
        scene.probe(services, SETTLED)
        after = [scene.stored(registration) for registration in scene.registrations]
        assert after == before, "registrations had no gap"
        say(f"{drops} drops; a change was seen within {slowest:.2f} s of one")
