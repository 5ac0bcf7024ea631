"""Registrations come back from what etcd, the network or a person did to them."""

from __future__ import annotations

from scene import Scene
from servers import Options
from servers.binaries import Version
from servers.fixtures import NewCluster

from conftest import Say
from footprint import Stopwatch

# So that the shortest lease is one second, and elections don't take seconds.
QUICK = ("--heartbeat-interval", "50", "--election-timeout", "500")


def test_03_lease_revoked(version: Version, new_cluster: NewCluster, say: Say) -> None:
    etcd = new_cluster(options=Options(version=version, flags=QUICK))
    with Scene(etcd, ttl=3) as scene:
        service = scene.follow("a")
        one = [scene.register("a", 1)]
        scene.steady()
        for registrations in (one, [scene.register("a", port) for port in range(2, 12)]):
            ids = {registration.id for registration in scene.registrations}
            service.until_ids(ids, 5)
            [lease] = etcd.store.leases()
            watch = Stopwatch()
            etcd.store.revoke(lease)
            service.until_ids(set(), 5)
            service.until_ids(ids, 5 * (3 / 3 + 5))
            say(f"{len(scene.registrations)} back after {watch.seconds:.2f} s")
