"""What becomes of the servers of Consul, and of the agent's way to them: lists are kept until they are right again."""

from __future__ import annotations

from collections.abc import Callable

import callsheet
import pytest
from conftest import NewConsul, Say
from consul_scene import ConsulScene
from footprint import Stopwatch
from scene import lasting
from servers import AgentOptions, Proxy
from servers.binaries import Version

RETRY, REQUEST = 5.0, 5.0
# Silence is noticed within this.
SILENT = 12.0
# Until a server has given its leader up and there is another one, or the servers know that there is none.
ELECTED = 10.0


def test_16_a_server_without_data_and_leader(version: Version, new_consul: NewConsul, say: Say) -> None:
    """All it has is an empty list. (Old servers answered with that; those of today wait, and say that none leads.)"""
    consul = new_consul(3, options=AgentOptions(version=version))
    with ConsulScene(consul) as scene:
        scene.register("a", 1)
        scene.place("a", "foreign", 2)
        follower = scene.follow("a")
        scene.steady()
        known, seen = {"127.0.0.1:1", "foreign"}, len(follower.history)
        consul.kill()
        consul.agent.forget()
        consul.agent.start(wait=False)
        stopped = Stopwatch()
        follower.until(lambda latest: latest.freshness == "stale", SILENT)
        # Each try of several meets such an answer.
        lasting(3 * RETRY)
        assert follower.latest is not None
        assert follower.latest.freshness == "stale"
        assert all(set(each.ids) == known for each in list(follower.history)[seen:]), "the list is kept"
        say(f"kept for {stopped.seconds:.0f} s: {follower.latest.last_error}")
        for server in consul.servers[1:]:
            server.start(wait=False)
        consul.wait_healthy()
        back = Stopwatch()
        follower.until_ids(known, 5 * (RETRY + REQUEST))
        say(f"live {back.seconds:.2f} s after all servers were back")


def test_16_servers_without_a_leader(version: Version, new_consul: NewConsul, say: Say) -> None:
    """The one that is left answers what it has in memory, which nobody changes any more."""
    consul = new_consul(3, options=AgentOptions(version=version))
    with ConsulScene(consul) as scene:
        scene.register("a", 1)
        follower = scene.follow("a")
        scene.steady()
        seen = len(follower.history)
        for server in consul.servers[1:]:
            server.pause()
        paused = Stopwatch()
        follower.until(lambda latest: latest.freshness == "stale", 5 * (SILENT + ELECTED))
        say(f"stale after {paused.seconds:.2f} s")
        for server in consul.servers[1:]:
            server.resume()
        consul.wait_healthy()
        back = Stopwatch()
        follower.until_ids({"127.0.0.1:1"}, 5 * (RETRY + REQUEST))
        assert all(each.ids for each in list(follower.history)[seen:]), "the list is kept"
        say(f"live {back.seconds:.2f} s after they were back")


@pytest.mark.parametrize("how", ["sigstop", "sigkill"])
def test_an_election_during_a_query_that_waits(
    version: Version, how: str, new_consul: NewConsul, say: Say
) -> None:
    # Agents go to another server once they have heard that the last one failed: after the time that Consul's own
    # defaults take for that, not that of the fixture.
    gossip = {"probe_interval": "1s", "probe_timeout": "500ms"}
    consul = new_consul(3, clients=1, options=AgentOptions(version=version, config={"gossip_lan": gossip}))
    with ConsulScene(consul) as scene:
        registration = scene.register("a", 1)
        follower = scene.follow("a")
        scene.steady()
        before, seen = scene.stored(registration), len(follower.history)
        slowest = 0.0
        for number in range(1, 4):
            leader = consul.members[consul.leader]
            leader.pause() if how == "sigstop" else leader.kill()
            # By the next leader; the fixture itself is slow to find that one.
            scene.place("a", "by-the-next", number)
            made = Stopwatch()
            follower.until(lambda latest, number=number: port_of_next(latest) == number, SILENT + 5 * REQUEST)  # type: ignore[misc]
            slowest = max(slowest, made.seconds)
            leader.resume() if how == "sigstop" else leader.start(wait=False)
            consul.wait_healthy()
        assert scene.stored(registration) == before, "it had no gap"
        assert all(registration.id in each.ids for each in list(follower.history)[seen:])
        say(f"what the next leader was told was seen within {slowest:.2f} s")


def refuse(proxy: Proxy) -> None:
    proxy.disable()


def swallow(proxy: Proxy) -> None:
    proxy.blackhole()


@pytest.mark.parametrize("how", [refuse, swallow])
def test_a_client_agent_cut_off_from_its_servers(
    version: Version, how: Callable[[Proxy], None], new_consul: NewConsul, say: Say
) -> None:
    """It takes renewals as ever, and registrations where the network refuses at once, and says nothing of services."""
    ttl = 3
    consul = new_consul(clients=1, rpc_proxied=True, options=AgentOptions(version=version))
    [proxy] = consul.rpc_proxies
    states: list[str] = []
    with ConsulScene(consul, ttl=ttl) as scene:
        scene.register("a", 1, on_state=states.append)
        follower = scene.follow("a")
        scene.steady()
        seen = len(follower.history)
        how(proxy)
        cut = Stopwatch()
        follower.until(lambda latest: latest.freshness == "stale", 5 * SILENT)
        say(f"stale after {cut.seconds:.2f} s (promised {SILENT:g} s)")
        if how is refuse:
            # It is at the agent, and in the catalog as soon as the agent can say so. With servers that are silent an
            # agent answers nothing while it tries to tell them of a change.
            scene.register("a", 2).wait("registered", timeout=5 * (RETRY + REQUEST))
        lasting(3 * ttl)
        assert states == ["registered"] or states == ["pending", "registered"], "renewed at its agent"
        assert all(each.ids == ("127.0.0.1:1",) for each in list(follower.history)[seen:]), "the list is kept"
        proxy.renew()
        healed = Stopwatch()
        follower.until(lambda latest: latest.freshness == "live", 5 * (RETRY + REQUEST))
        say(f"live {healed.seconds:.2f} s after it healed")
        # An agent tries again to tell its servers after 15 to 30 s.
        follower.until_ids({registration.id for registration in scene.registrations}, 60)
        say(f"all seen after {healed.seconds:.1f} s")


def port_of_next(snapshot: callsheet.Snapshot) -> int | None:
    instance = snapshot.get("by-the-next")
    return instance.port if instance else None
