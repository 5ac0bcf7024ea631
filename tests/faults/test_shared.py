"""What a client shares between its registrations and its watches: a connection, a stream, a lease."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest
from conftest import NewEtcd, Say
from etcd_invariants import STREAMS, gauge
from etcd_scene import EtcdScene
from footprint import Stopwatch
from invariants import until_none
from scene import lasting
from servers import QUICK, Cluster
from servers.binaries import Version
from servers.sockets import connections

REQUEST = 5.0


def keep_alives(etcd: Cluster) -> float:
    """Messages on keep-alive streams so far."""
    counted = etcd.members[0].metrics().items()
    received = "grpc_server_msg_received_total{"
    return sum(v for k, v in counted if k.startswith(received) and 'grpc_method="LeaseKeepAlive"' in k)


def test_300_watched_services_are_one_connection_and_one_stream(
    version: Version, new_etcd: NewEtcd, say: Say
) -> None:
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        services = [f"a{count}" for count in range(300)]
        began = Stopwatch()
        for service in services:
            scene.follow(service)
        scene.steady()
        say(f"live after {began.seconds:.2f} s")
        assert connections(etcd.endpoints).total() == 1
        assert gauge(etcd, STREAMS) == 1
        assert etcd.calls("Watch") == 1
        took = sum(scene.probe([service], REQUEST) for service in services)
        say(f"{1000 * took / len(services):.1f} ms from a put to its callback, with the put")
        for service in services[1:]:
            scene.followers.pop(service).close()
        scene.probe(services[:1], REQUEST)
        # Those that nobody uses are followed for a while.
        for service in services[1:]:
            scene.follow(service)


def test_1000_registrations_share_a_lease_and_its_renewal(
    version: Version, new_etcd: NewEtcd, say: Say
) -> None:
    ttl = 3
    etcd = new_etcd(version=version)
    with EtcdScene(etcd, ttl=ttl) as scene:
        scene.register("a", 1)
        scene.follow("a")
        scene.steady()
        one = renewals(etcd, 2 * ttl)
        began = Stopwatch()
        for port in range(2, 1001):
            scene.register("a", port)
        say(f"registered one by one in {began.seconds:.2f} s")
        scene.steady()
        [lease] = etcd.store.leases()
        assert len(etcd.store.lease(lease).keys) == 1000
        watch = Stopwatch()
        thousand = renewals(etcd, 2 * ttl)
        say(f"{thousand:.2f} renewals a second ({one:.2f} for one), {100 * watch.load:.2f} % of a core")
        assert thousand <= one + 1
        assert etcd.calls("LeaseGrant") == 1


def renewals(etcd: Cluster, seconds: float) -> float:
    """Keep-alive messages a second."""
    watch, before = Stopwatch(), keep_alives(etcd)
    lasting(seconds)
    return (keep_alives(etcd) - before) / watch.seconds


def test_an_idle_client_is_left_alone(new_etcd: NewEtcd) -> None:
    """etcd ends connections that ping too often, after some strikes; this is longer than four pings take."""
    with ExitStack() as stack:
        scenes = []
        for version in ("new", "old"):
            scene = stack.enter_context(EtcdScene(new_etcd(version=version)))
            scene.register("a", 1)
            scene.follow("a")
            scene.steady()
            scenes.append(scene)
        lasting(27)
        for scene in scenes:
            assert scene.etcd.calls("Watch") == 2, "one for each client"
            assert scene.etcd.calls("LeaseKeepAlive") == 1
            assert scene.consumer.stats()["loads"] == 1


def test_a_ttl_that_etcd_chose_is_renewed_at_a_third(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    # Nothing below one and a half times this.
    etcd = new_etcd(version=version, flags=("--heartbeat-interval", "50", "--election-timeout", "4000"))
    with EtcdScene(etcd, ttl=2) as scene:
        scene.register("a", 1)
        scene.follow("a")
        scene.steady()
        [lease] = etcd.store.leases()
        granted = etcd.store.lease(lease).granted
        assert granted == 6
        lowest, before, watch = float(granted), keep_alives(etcd), Stopwatch()
        while watch.seconds < 1.5 * granted:
            lowest = min(lowest, etcd.store.lease(lease).ttl)
            lasting(0.1)
        asked = keep_alives(etcd) - before
        say(
            f"{asked:g} renewals in {watch.seconds:.1f} s of a lease of {granted} s, never below {lowest:g} s"
        )
        # Every 2 s, and not as if it were a lease of 2 s. Opening the stream is one more.
        assert asked <= watch.seconds / (granted / 3) + 2
        assert lowest >= 1


def test_withdrawal_spares_the_siblings(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        for port in range(1, 201):
            scene.register("a", port)
        follower = scene.follow("a")
        scene.steady()
        [lease] = etcd.store.leases()
        kept = scene.registrations[:3]
        before = [etcd.store.get(scene.key(registration)) for registration in kept]
        for registration in scene.registrations[3:]:
            scene.close_registration(registration)
        assert [etcd.store.get(scene.key(registration)) for registration in kept] == before
        assert etcd.store.leases() == [lease]
        follower.until_ids({registration.id for registration in kept}, REQUEST)
        for registration in kept:
            scene.close_registration(registration)
        assert etcd.store.leases() == [], "the last one takes the lease with it"
        scene.register("a", 1)


@pytest.mark.parametrize("lease", [False, True], ids=["no-lease", "another-lease"])
def test_withdrawal_spares_what_is_not_ours(version: Version, lease: bool, new_etcd: NewEtcd) -> None:
    """Somebody else took the id: closing leaves what is theirs, and no lease of ours."""
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        registration = scene.register("a", 1, id="shared")
        scene.register("a", 2)
        scene.follow("a")
        scene.steady()
        theirs = etcd.store.grant(600) if lease else 0
        scene.put("a", "shared", lease=theirs)
        scene.registrations.remove(registration)
        registration.wait("superseded", timeout=REQUEST)
        entry = etcd.store.get(scene.key(registration))
        registration.close()
        assert etcd.store.get(scene.key(registration)) == entry
        assert entry is not None
        assert (entry.lease, json.loads(entry.value)["port"]) == (theirs, 9)


def test_closing_leaves_no_lease_when_many_close_at_once(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        scene.follow("a")
        for _ in range(5):
            for port in range(1, 101):
                scene.register("a", port)
            # Each on its own; the client's close does all at once, as the scene's end shows.
            while scene.registrations:
                scene.close_registration(scene.registrations[-1])
            until_none(lambda: [str(lease) for lease in etcd.store.leases()], REQUEST)
        for port in range(1, 101):
            scene.register("a", port)
        scene.steady()


def test_leases_of_different_ttls_are_apart(new_etcd: NewEtcd) -> None:
    etcd = new_etcd(flags=QUICK)
    with EtcdScene(etcd, ttl=5) as scene:
        long = [scene.register("a", port) for port in range(1, 4)]
        short = [scene.register("a", port, ttl=2.5) for port in range(4, 7)]
        ttls = {etcd.store.lease(lease).granted for lease in etcd.store.leases()}
        assert ttls == {5, 3}, "etcd counts in whole seconds, and never promises less than was asked"
        for registration in short:
            scene.close_registration(registration)
        [lease] = etcd.store.leases()
        assert len(etcd.store.lease(lease).keys) == len(long)
