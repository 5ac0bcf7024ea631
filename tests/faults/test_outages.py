"""A registry that is away for a while costs little, and leaves nothing behind."""

from __future__ import annotations

import gc

from conftest import NewServer, Say
from footprint import Footprint, Stopwatch
from invariants import every_endpoint
from scene import lasting
from scenes import scene_of
from servers import Cluster
from servers.sockets import connections
from servers.waiting import until

RETRY, REQUEST = 5.0, 5.0
CONNECTIONS = 1 << 20


def test_12_killed_server_costs_no_processor_time(new_server: NewServer, say: Say) -> None:
    server = new_server()
    with scene_of(server, ttl=3) as scene:
        for count in range(50):
            scene.register(f"a{count}", count + 1)
            scene.follow(f"a{count}")
        scene.steady()
        idle = Stopwatch()
        lasting(5)
        say(f"{100 * idle.load:.2f} % of a core with 50 registrations and 50 watches at rest")
        server.kill()
        for registration in scene.registrations:
            registration.wait("lost", timeout=5 * (3 + REQUEST))
        down = Stopwatch()
        lasting(10)
        load = down.load
        say(f"{100 * load:.2f} % without the server")
        assert load < 0.05
        server.start()
        scene.until_registered(5 * (RETRY + REQUEST))


def test_13_thousand_watch_errors(new_server: NewServer, say: Say) -> None:
    server = new_server(proxied=True)
    [proxy] = server.proxies
    # On etcd a stream is mended; on Consul each of a hundred queries is asked anew.
    cuts = 200 if isinstance(server, Cluster) else 20
    services = [f"a{count}" for count in range(100)]
    with scene_of(server) as scene:
        scene.register("a0", 1)
        for service in services:
            scene.follow(service)
        scene.steady()

        def errors() -> int:
            return int(scene.consumer.stats()["load_failures"])

        def outage() -> None:
            """Each watch ends with an error, and each try to read again fails."""
            proxy.disable()
            for follower in scene.followers.values():
                follower.until(lambda latest: latest.freshness == "stale", 5 * REQUEST)
            proxy.enable()
            for follower in scene.followers.values():
                follower.until(lambda latest: latest.freshness == "live", 5 * (RETRY + REQUEST))

        def at_rest() -> None:
            """Every query waits at an agent again, with its connection and the buffers of that: as many each time."""
            if not isinstance(server, Cluster):
                until(lambda: connections(every_endpoint(server)).total() >= len(services), 5 * REQUEST)
            gc.collect()

        def cut() -> None:
            """Every connection ends, and what was followed goes on."""
            proxy.cut()
            scene.probe(["a0"], 5 * REQUEST)

        outage()
        cut()
        at_rest()
        warm, before = Footprint.now(), errors()
        while errors() <= before + 1000:
            outage()
        for _ in range(cuts):
            cut()
        at_rest()
        count = errors() - before
        grown = Footprint.now().allocated - warm.allocated
        # A hundred bytes an error, and the buffers of connections that come and go.
        assert grown < 100 * count + CONNECTIONS
        say(f"{count} errors and {cuts} cuts, {grown / 2**10:.0f} KB more memory")
        say(f"{connections(every_endpoint(server)).total()} connections")
