"""A registry that is away for a while costs little, and leaves nothing behind."""

from __future__ import annotations

import gc

from conftest import NewEtcd, Say
from footprint import Footprint, Stopwatch
from invariants import WATCHERS, gauge
from scene import Scene, lasting
from servers.binaries import Version

RETRY, REQUEST = 5.0, 5.0


def test_12_killed_server_costs_no_processor_time(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version)
    with Scene(etcd, ttl=3) as scene:
        for count in range(50):
            scene.register(f"a{count}", count + 1)
            scene.follow(f"a{count}")
        scene.steady()
        idle = Stopwatch()
        lasting(5)
        say(f"{100 * idle.load:.2f} % of a core with 50 registrations and 50 watches at rest")
        etcd.kill()
        for registration in scene.registrations:
            registration.wait("lost", timeout=5 * (3 + REQUEST))
        down = Stopwatch()
        lasting(10)
        load = down.load
        say(f"{100 * load:.2f} % without the server")
        assert load < 0.05
        etcd.start()
        scene.until_registered(5 * (RETRY + REQUEST))


def test_13_thousand_watch_errors(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version, proxied=True)
    [proxy] = etcd.proxies
    services = [f"a{count}" for count in range(100)]
    with Scene(etcd) as scene:
        scene.register("a0", 1)
        for service in services:
            scene.follow(service)
        scene.steady()
        errors = scene.consumer.stats()["load_failures"]

        def outage() -> None:
            """Each watch ends with an error, and each try to read again fails."""
            proxy.disable()
            for follower in scene.followers.values():
                follower.until(lambda latest: latest.freshness == "stale", 5 * REQUEST)
            proxy.enable()
            for follower in scene.followers.values():
                follower.until(lambda latest: latest.freshness == "live", 5 * (RETRY + REQUEST))

        def cut() -> None:
            """The stream breaks, and is mended."""
            proxy.cut()
            scene.probe(["a0"], 5 * REQUEST)

        for _ in range(3):
            outage()
            cut()
        gc.collect()
        warm = Footprint.now()
        for _ in range(6):
            outage()
        for _ in range(200):
            cut()
        gc.collect()
        errors = scene.consumer.stats()["load_failures"] - errors
        assert errors > 1000
        grown = Footprint.now().allocated - warm.allocated
        assert grown < 100 * errors
        say(f"{errors} errors and 200 mended streams, {grown / 2**10:.0f} KB more memory")
        say(f"{gauge(etcd, WATCHERS):g} watchers of 102")
