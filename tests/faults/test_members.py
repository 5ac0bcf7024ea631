"""Three members of which some are away: one of the others serves, and it alone is asked."""

from __future__ import annotations

from collections.abc import Callable

import callsheet
import pytest
from conftest import NewEtcd, Say
from etcd_scene import EtcdScene
from footprint import Stopwatch
from invariants import until_none
from scene import SETTLED, lasting
from servers import Cluster, Etcd
from servers.binaries import Version
from servers.sockets import connections

# Within this another member serves, whatever became of the one in use.
FAILOVER = 12.0


def in_use(etcd: Cluster) -> set[int]:
    """The members that this process is connected to."""
    dialled = connections(member.endpoint for member in etcd.members)
    return {at for at, member in enumerate(etcd.members) if dialled[member.endpoint]}


def test_02_two_of_three_members_flap(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(3, version=version)
    with EtcdScene(etcd) as scene:
        registrations = [scene.register("a", port) for port in range(1, 6)]
        follower = scene.follow("a")
        scene.steady()
        slowest = 0.0
        for pair in ((0, 1), (1, 2), (2, 0), (0, 1)):
            flapping = [etcd.members[at] for at in pair]
            for member in flapping:
                member.kill()
            lasting(1)
            for member in flapping:
                member.start(wait=False)
            etcd.wait_healthy()
            slowest = max(slowest, scene.probe(["a"], 5 * FAILOVER))
        assert all(len(seen.ids) >= 5 for seen in follower.history), "at no time was one missing"
        scene.until_registered(5 * FAILOVER)
        assert all(registration.state == "registered" for registration in registrations)
        say(f"watch live again at most {slowest:.2f} s after all members were")


@pytest.mark.parametrize("how", ["sigstop", "sigkill", "sigterm"])
def test_09_member_in_use_is_stopped(version: Version, how: str, new_etcd: NewEtcd, say: Say) -> None:
    """SIGSTOP is the number; a member that is killed, or restarted as in an upgrade, is the same to its clients."""
    etcd = new_etcd(3, version=version)
    stop: dict[str, Callable[[Etcd], None]] = {
        "sigstop": lambda member: member.pause(),
        "sigkill": lambda member: member.kill(),
        "sigterm": lambda member: member.stop(),
    }
    with EtcdScene(etcd) as scene:
        registration = scene.register("a", 1)
        follower = scene.follow("a")
        scene.steady()
        before = etcd.store.get(scene.key(registration))
        slowest = 0.0
        for _ in range(2):
            stopped = in_use(etcd)
            at = min(stopped)
            member = etcd.members[at]
            stop[how](member)
            watch = Stopwatch()
            scene.probe(["a"], 5 * FAILOVER)
            slowest = max(slowest, watch.seconds)
            # The registering client has to notice by its renewals.
            until_none(lambda at=at: ["still there"] if at in in_use(etcd) else [], 5 * FAILOVER)  # type: ignore[misc]
            registration.update(metadata={"after": str(at)})
            assert registration.last_error is None
            member.resume() if how == "sigstop" else member.start()
            member.wait_healthy()
        after = etcd.store.get(scene.key(registration))
        assert before is not None
        assert after is not None
        assert after.lease == before.lease, "it was renewed in time"
        assert all(seen.ids for seen in follower.history)
        say(f"another member served after {slowest:.2f} s (promised {FAILOVER:g} s)")


def test_failover_sticks_to_one_endpoint(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(3, version=version)
    with EtcdScene(etcd, ttl=3) as scene:
        scene.register("a", 1)
        scene.follow("a")
        scene.steady()
        first = min(in_use(etcd))
        etcd.members[first].kill()
        scene.probe(["a"], 5 * FAILOVER)
        # Until the others have a leader, each of them may be one that does not answer.
        until_none(scene.wrong_at_work, SETTLED)
        until_none(lambda: ["not connected"] if connections_of(scene) != 2 else [], 5 * FAILOVER)
        second = in_use(etcd)
        assert first not in second
        etcd.members[first].start()
        watch = Stopwatch()
        while watch.seconds < 3:
            assert in_use(etcd) == second, "nobody goes back"
            assert connections_of(scene) == 2, "nobody dials more than one"
            lasting(0.05)


def test_clients_dial_one_member_each_and_not_all_the_same(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(3, version=version)
    clients = [callsheet.connect(etcd.url) for _ in range(24)]
    for client in clients:
        client.lookup("a")
    dialled = connections(member.endpoint for member in etcd.members)
    assert dialled.total() == len(clients)
    # That all begin at one member would happen once in 3**23 times.
    assert len(dialled) > 1
    for client in clients:
        client.close()
    until_none(lambda: ["connections are left"] if in_use(etcd) else [], 5)


def test_a_member_without_a_leader_is_no_good(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """It answers nothing but what it has in memory, so a watch there would be silent for ever."""
    etcd = new_etcd(3, version=version)
    with EtcdScene(etcd) as scene:
        scene.register("a", 1)
        follower = scene.follow("a")
        scene.steady()
        lonely = min(in_use(etcd))
        others = [member for at, member in enumerate(etcd.members) if at != lonely]
        for member in others:
            member.pause()
        watch = Stopwatch()
        follower.until(lambda latest: latest.freshness == "stale", 5 * FAILOVER)
        say(f"stale after {watch.seconds:.2f} s")
        assert follower.latest is not None
        assert len(follower.latest) == 1
        for member in others:
            member.resume()
        watch = Stopwatch()
        follower.until_ids({"127.0.0.1:1"}, 5 * FAILOVER)
        say(f"live {watch.seconds:.2f} s after the others were back")


def connections_of(scene: EtcdScene) -> int:
    return connections(member.endpoint for member in scene.etcd.members).total()
