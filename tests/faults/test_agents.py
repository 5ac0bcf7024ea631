"""What agents of Consul forget, lose or are told by others: registrations come back by themselves, checks and all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import callsheet
import pytest
from conftest import NewConsul, Say
from consul_scene import ConsulScene
from footprint import Stopwatch
from invariants import until_none
from scene import lasting
from servers import AgentOptions
from servers.binaries import Version

# Longest pause between two tries, and one request.
RETRY, REQUEST = 5.0, 5.0


def test_03_deregistered_by_hand(version: Version, new_consul: NewConsul, say: Say) -> None:
    ttl = 3
    consul = new_consul(options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl) as scene:
        one, *siblings = [scene.register("a", number) for number in range(1, 4)]
        follower = scene.follow("a")
        scene.steady()
        before = [scene.stored(sibling) for sibling in siblings]
        slowest = 0.0
        for _ in range(5):
            consul.agent.local.deregister(one.id)
            gone = Stopwatch()
            follower.until(lambda latest: one.id not in ids(latest), REQUEST)
            follower.until(lambda latest: one.id in ids(latest), 5 * (ttl / 3 + REQUEST))
            slowest = max(slowest, gone.seconds)
        assert [scene.stored(sibling) for sibling in siblings] == before, "they were not touched"
        for registration in scene.registrations:
            consul.agent.local.deregister(registration.id)
        gone = Stopwatch()
        follower.until(lambda latest: not ids(latest), REQUEST)
        follower.until_ids({registration.id for registration in scene.registrations}, 5 * (ttl / 3 + REQUEST))
        slowest = max(slowest, gone.seconds)
        say(f"back after at most {slowest:.2f} s (promised {ttl / 3:g} s and a request)")


def test_03_check_deregistered_by_hand(version: Version, new_consul: NewConsul, say: Say) -> None:
    """The service is still there, and passes for ever, whatever becomes of its process."""
    ttl = 3
    consul = new_consul(options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl) as scene:
        registration = scene.register("a", 1)
        scene.follow("a")
        scene.steady()
        check = f"callsheet:{registration.id}"
        consul.agent.local.deregister_check(check)
        gone = Stopwatch()
        until_none(
            lambda: [] if check in consul.agent.local.checks() else ["no check"], 5 * (ttl / 3 + REQUEST)
        )
        say(f"back after {gone.seconds:.2f} s (promised {ttl / 3:g} s and a request)")


@pytest.mark.parametrize("whose", ["client", "server"])
def test_17_data_directory_wiped(version: Version, whose: str, new_consul: NewConsul, say: Say) -> None:
    """A client agent forgets what is its own; a lone server everything, and its indexes begin again."""
    ttl = 3
    consul = new_consul(clients=int(whose == "client"), options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl, empty_hold=2) as scene:
        # So that the new history is shorter for a while.
        for number in range(1, 51):
            scene.place("a", "foreign", number)
        for number in range(1, 6):
            scene.register("a", number)
        follower = scene.follow("a")
        scene.steady()
        before = consul.catalog.index("a")
        if whose == "server":
            scene.placed.clear()
            consul.wipe()
            assert consul.catalog.index("a") < before
        else:
            consul.agent.wipe()
        wiped = Stopwatch()
        until_none(lambda: missing(scene), 5 * (ttl / 3 + REQUEST))
        say(
            f"registered {wiped.seconds:.2f} s after the agent answered (promised {ttl / 3:g} s and a request)"
        )
        scene.until_registered(5 * (ttl / 3 + REQUEST))
        known = {registration.id for registration in scene.registrations}
        known |= {id for service, id in scene.placed if service == "a"}
        follower.until_ids(known, 5 * (RETRY + REQUEST))
        say(f"watchers equal the catalog {wiped.seconds:.2f} s after it answered")


@pytest.mark.parametrize("how", ["sigterm", "sigkill"])
def test_an_agent_that_restarts_forgets_nothing(
    version: Version, how: str, new_consul: NewConsul, say: Say
) -> None:
    ttl = 3
    consul = new_consul(clients=1, options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl) as scene:
        for number in range(1, 6):
            scene.register("a", number)
        follower = scene.follow("a")
        scene.steady()
        seen = len(follower.history)
        slowest = 0.0
        for _ in range(2):
            consul.agent.stop() if how == "sigterm" else consul.agent.kill()
            follower.until(lambda latest: latest.freshness == "stale", 5 * REQUEST)
            consul.agent.start()
            started = Stopwatch()
            until_none(scene.wrong_at_work, 5 * (RETRY + REQUEST))
            slowest = max(slowest, started.seconds)
        assert all(len(each.ids) == 5 for each in list(follower.history)[seen:]), "at no time was one missing"
        say(f"all as before {slowest:.2f} s after it answered")


@pytest.mark.parametrize("how", ["leaves", "dies"])
def test_two_processes_with_one_id(version: Version, how: str, new_consul: NewConsul, say: Say) -> None:
    """Who comes later has it; the first one waits, and is back when that one goes."""
    ttl = 3
    consul = new_consul(options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl) as scene:
        first = scene.register("a", 1, id="shared")
        scene.register("a", 2)
        follower = scene.follow("a")
        scene.steady()
        script = Path(__file__).with_name("holder.py")
        command = [sys.executable, str(script), consul.url, "a", "shared", "3", str(ttl)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as second:
            follower.until(lambda latest: port(latest) == 3, 5 * REQUEST)
            took = Stopwatch()
            first.wait("superseded", timeout=5 * (ttl / 3 + REQUEST))
            say(f"superseded after {took.seconds:.2f} s (promised {ttl / 3:g} s and a request)")
            taken = len(follower.history)
            lasting(2 * ttl)
            assert len(follower.history) == taken, "nobody fights for it"
            assert port(follower.latest) == 3
            if how == "leaves":
                second.communicate()
            else:
                second.kill()
        took = Stopwatch()
        gone = 0 if how == "leaves" else ttl
        follower.until(lambda latest: port(latest) == 1, 5 * (gone + ttl / 3 + REQUEST))
        first.wait("registered", timeout=REQUEST)
        say(f"back {took.seconds:.2f} s after it {how}")


def test_withdrawal_spares_what_is_not_ours(version: Version, new_consul: NewConsul) -> None:
    """Another tool took the id: closing leaves what is theirs, and what is ours beside it."""
    ttl = 3
    consul = new_consul(options=AgentOptions(version=version))
    with ConsulScene(consul, ttl=ttl) as scene:
        registration = scene.register("a", 1, id="shared")
        scene.register("a", 2)
        scene.follow("a")
        scene.steady()
        scene.registrations.remove(registration)
        scene.register_beside("a", "shared")
        registration.wait("superseded", timeout=5 * (ttl / 3 + REQUEST))
        theirs = scene.stored(registration)
        registration.close()
        assert scene.stored(registration) == theirs


def ids(snapshot: callsheet.Snapshot) -> set[str]:
    return {instance.id for instance in snapshot}


def port(snapshot: callsheet.Snapshot | None) -> int | None:
    instance = snapshot.get("shared") if snapshot else None
    return instance.port if instance else None


def missing(scene: ConsulScene) -> list[str]:
    """Registrations without a passing check at their agent."""
    checks = scene.agent.local.checks()
    ids = (registration.id for registration in scene.registrations)
    return [id for id in ids if checks.get(f"callsheet:{id}", {}).get("Status") != "passing"]
