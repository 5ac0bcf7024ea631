"""Many services and many registrations at one agent, which takes 200 connections of an address."""

from __future__ import annotations

from conftest import NewConsul, Say
from consul_invariants import CALLS, POLLS
from consul_scene import ConsulScene
from footprint import Stopwatch
from scene import lasting
from servers import AgentOptions
from servers.binaries import Version
from servers.sockets import connections

REQUEST = 5.0
SERVICES = 300
# An agent takes 150 withdrawals a second, and closing may take 5 s.
REGISTRATIONS = 500
# How long a query waits while others want its turn, twice: with three services for a turn none waits longer.
TURN = 2.0


def test_20_300_watched_services_on_one_agent(version: Version, new_consul: NewConsul, say: Say) -> None:
    consul = new_consul(options=AgentOptions(version=version))
    with ConsulScene(consul) as scene:
        services = [f"a{count}" for count in range(SERVICES)]
        scene.register("a0", 1)
        began = Stopwatch()
        for service in services:
            scene.follow(service)
        scene.steady()
        say(f"live after {began.seconds:.2f} s")
        most = 0
        watch = Stopwatch()
        # Some rounds in which each has its turn.
        while watch.seconds < 15:
            most = max(most, connections(consul.endpoints).total())
            lasting(0.1)
        say(f"at most {most} connections, {100 * watch.load:.1f} % of a core at rest")
        assert most <= POLLS + CALLS * len(scene.clients)
        slowest = 0.0
        for _ in range(3):
            slowest = max(slowest, scene.probe(services, 5 * (SERVICES / POLLS * TURN + REQUEST)))
        say(f"{SERVICES} changes made and seen in {slowest:.2f} s")
        stats = scene.consumer.stats()
        # An agent that has too many connections answers 429, which is a failure.
        assert (stats["load_failures"], scene.provider.stats()["publish_failures"]) == (0, 0)


def test_500_registrations_are_renewed_evenly(version: Version, new_consul: NewConsul, say: Say) -> None:
    ttl = 10
    consul = new_consul(options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl) as scene:
        scene.follow("a0")
        began = Stopwatch()
        for port in range(1, REGISTRATIONS + 1):
            scene.register(f"a{port % 50}", port)
        say(f"registered one by one in {began.seconds:.2f} s")
        scene.steady()
        watch = Stopwatch()
        before = renewals(consul.agent.local.metrics())
        lasting(2 * ttl / 3)
        rate = (renewals(consul.agent.local.metrics()) - before) / watch.seconds
        say(f"{rate:.0f} renewals a second, {100 * watch.load:.1f} % of a core")
        promised = 3 * REGISTRATIONS / ttl
        assert 0.8 * promised < rate < 1.2 * promised


def renewals(metrics: dict[str, float]) -> float:
    """How many updates of checks an agent was asked for."""
    counted = {name: value for name, value in metrics.items() if "check_update" in name and "_count" in name}
    assert counted, sorted(name for name in metrics if "http" in name)
    return sum(counted.values())
