"""Registrations come back from what the registry, the network or a person did to them, by themselves."""

from __future__ import annotations

from functools import partial

import callsheet
import pytest
from conftest import NewEtcd, NewServer, Say
from etcd_scene import EtcdScene
from footprint import Stopwatch
from scene import lasting
from scenes import scene_of
from servers import Cluster
from servers.binaries import Version
from servers.waiting import until

# Longest pause between two tries, and one request: what a registration may take once etcd answers.
RETRY, REQUEST = 5.0, 5.0


def test_01_stopped_for_ten_ttls(new_server: NewServer, say: Say) -> None:
    ttl = 1
    server = new_server()
    with scene_of(server, ttl=ttl) as scene:
        registrations = [scene.register("a", port) for port in range(1, 6)]
        follower = scene.follow("a")
        scene.steady()
        server.kill()
        stopped = Stopwatch()
        for registration in registrations:
            registration.wait("lost", timeout=5 * ttl + REQUEST)
        follower.until(lambda latest: latest.freshness == "stale", REQUEST)
        lasting(10 * ttl - stopped.seconds)
        assert follower.latest is not None
        assert len(follower.latest) == 5, "what is stale is kept"
        server.start()
        started = Stopwatch()
        scene.until_registered(5 * (ttl / 3 + REQUEST))
        say(f"registered {started.seconds:.2f} s after the start")


def test_03_lease_revoked(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    ttl = 3
    etcd = new_etcd(version=version)
    with EtcdScene(etcd, ttl=ttl) as scene:
        follower = scene.follow("a")
        for count in (1, 11):
            while len(scene.registrations) < count:
                scene.register("a", len(scene.registrations) + 1)
            scene.steady()
            ids = {registration.id for registration in scene.registrations}
            follower.until_ids(ids, REQUEST)
            [lease] = etcd.store.leases()
            etcd.store.revoke(lease)
            revoked = Stopwatch()
            follower.until_ids(set(), REQUEST)
            follower.until_ids(ids, 5 * (ttl / 3 + REQUEST))
            say(f"{count} back after {revoked.seconds:.2f} s (promised {ttl / 3:g} s and a request)")


def test_03_lease_revoked_while_a_sibling_holds_it(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """The client is cut off as it happens, so that only a renewal, or a put, can find out."""
    ttl = 6
    etcd = new_etcd(version=version, proxied=True)
    with EtcdScene(etcd, ttl=ttl) as scene:
        follower = scene.follow("a")
        for port in range(1, 6):
            scene.register("a", port)
        scene.steady()
        [lease] = etcd.store.leases()
        etcd.proxies[0].disable()
        etcd.store.revoke(lease)
        etcd.proxies[0].enable()
        healed = Stopwatch()
        follower.until_ids({f"127.0.0.1:{port}" for port in range(1, 6)}, 5 * (ttl / 3 + REQUEST))
        scene.until_registered(5 * (ttl / 3 + REQUEST))
        say(f"5 back after {healed.seconds:.2f} s (promised {ttl / 3:g} s and a request)")


def written_after(etcd: Cluster, key: str, revision: int) -> bool:
    entry = etcd.store.get(key)
    return entry is not None and entry.mod_revision > revision


def test_04_own_key_deleted(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    ttl = 3
    etcd = new_etcd(version=version)
    with EtcdScene(etcd, ttl=ttl) as scene:
        one, *_ = registrations = [scene.register("a", port) for port in range(1, 4)]
        follower = scene.follow("a")
        scene.steady()
        slowest = 0.0
        for _ in range(5):
            revision = etcd.store.delete(scene.key(one))
            deleted = Stopwatch()
            # In between it is gone, perhaps for less time than it takes to look.
            until(partial(written_after, etcd, scene.key(one), revision), 5 * (ttl / 3 + REQUEST))
            slowest = max(slowest, deleted.seconds)
            follower.until(lambda latest: one.instance in latest, REQUEST)
            siblings = [etcd.store.get(scene.key(sibling)) for sibling in registrations[1:]]
            assert all(entry and entry.mod_revision < revision for entry in siblings), "they were not touched"
        etcd.store.delete_prefix("/services/")
        deleted = Stopwatch()
        follower.until_ids({registration.id for registration in registrations}, 5 * (ttl / 3 + REQUEST))
        slowest = max(slowest, deleted.seconds)
        say(f"back after at most {slowest:.2f} s (promised {ttl / 3:g} s and a request)")


def test_05_keep_alive_stream_reset(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    ttl = 5
    etcd = new_etcd(version=version, proxied=True)
    states: list[str] = []
    with EtcdScene(etcd, ttl=ttl) as scene:
        registration = scene.register("a", 1, on_state=states.append)
        follower = scene.follow("a")
        scene.steady()
        before = etcd.store.get(scene.key(registration))
        resets = 0
        # Each of them meets some of the six renewals that two leases' time takes.
        watch = Stopwatch()
        while watch.seconds < 2 * ttl:
            etcd.proxies[0].cut()
            lasting(0.1)
            etcd.proxies[0].reset()
            lasting(0.1)
            etcd.proxies[0].heal()
            lasting(0.4)
            resets += 2
        assert etcd.store.get(scene.key(registration)) == before, "neither written again nor on another lease"
        assert states == ["registered"] or states == ["pending", "registered"]
        assert all(seen.ids for seen in follower.history)
        say(f"no gap in {resets} resets")


@pytest.mark.parametrize("new_id", [False, True], ids=["same-id", "new-id"])
def test_06_empty_data_directory(version: Version, new_id: bool, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version)
    with EtcdScene(etcd, empty_hold=2) as scene:
        scene.put("a", "foreign")
        scene.put("empty-afterwards", "foreign")
        # So that the new history is shorter for a while.
        revisions = [etcd.store.put("other", str(count)) for count in range(50)]
        etcd.store.delete("other")
        scene.register("a", 1)
        scene.register("b", 2)
        followers = [scene.follow(service) for service in ("a", "b", "empty-afterwards")]
        scene.steady()
        scene.placed.clear()
        etcd.wipe(new_id=new_id)
        wiped = Stopwatch()
        assert etcd.store.revision() < max(revisions)
        scene.until_registered(5 * (10 / 3 + REQUEST))
        say(f"registered {wiped.seconds:.2f} s after the start")
        for follower, ids in zip(followers, ({"127.0.0.1:1"}, {"127.0.0.1:2"}, set[str]()), strict=True):
            follower.until_ids(ids, 5 * (RETRY + REQUEST))
        say(f"watchers equal the store {wiped.seconds:.2f} s after the start")


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_18_started_with_the_registry_down(kind: str, new_server: NewServer, say: Say) -> None:
    server = new_server(proxied=True)
    [proxy] = server.proxies
    if kind == "refused":
        server.kill()
    else:
        proxy.blackhole()
    timeout = 1.0
    with scene_of(server, timeout=timeout) as scene:
        follower = scene.follow("a")
        began = Stopwatch()
        registration = scene.register("a", 1)
        assert began.seconds < 5 * timeout, "it returns with what the first try said"
        assert registration.state == "pending"
        assert isinstance(registration.last_error, callsheet.Error)
        assert registration.last_error.code in ("unavailable", "timeout")
        with pytest.raises(callsheet.Unavailable):
            scene.consumer.lookup("a")
        assert follower.latest is None, "nothing was ever loaded"
        if kind == "refused":
            server.start()
        else:
            proxy.heal()
        up = Stopwatch()
        scene.until_registered(5 * (RETRY + REQUEST))
        follower.until_ids({registration.id}, 5 * (RETRY + REQUEST))
        say(f"registered and seen {up.seconds:.2f} s after it was up")
        scene.steady()
