"""Watches and registrations live through what the network does to their connections."""

from __future__ import annotations

from conftest import NewEtcd, Say
from etcd_scene import EtcdScene
from servers.binaries import Version

# A silent connection is given up within this.
SILENT = 12.0
RETRY, REQUEST = 5.0, 5.0


def test_08_compacted_while_cut_off(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version, proxied=True)
    [proxy], [direct] = etcd.proxies, [member.endpoint for member in etcd.members]
    with EtcdScene(etcd, url=etcd.url_of([direct])) as scene:
        scene.register("a", 1)
        follower = scene.follow("a")
        scene.put("a", "b", "c", "d")
        scene.steady()
        proxy.disable()
        follower.until(lambda latest: latest.freshness == "stale", SILENT)
        scene.remove("a", "b", "c")
        scene.put("a", "e")
        etcd.store.compact()
        proxy.enable()
        took = follower.until_ids({"127.0.0.1:1", "d", "e"}, 5 * (RETRY + REQUEST))
        say(f"equal {took:.2f} s after a long break")


def test_08_compacted_while_a_stream_is_mended(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """A stream that resumes below the compaction: etcd refuses it, which is no error but a reason to compare."""
    etcd = new_etcd(version=version, proxied=True)
    [proxy], [direct] = etcd.proxies, [member.endpoint for member in etcd.members]
    with EtcdScene(etcd, url=etcd.url_of([direct])) as scene:
        scene.register("a", 1)
        follower = scene.follow("a")
        scene.steady()
        # Long enough to compact in before the new stream asks for its watch, short enough to be mended.
        proxy.latency(0.08)
        rounds = 0
        while scene.consumer.stats()["reloads"] == 0:
            rounds += 1
            assert rounds < 50, "no stream met a compaction"
            scene.put("a", "kept", f"missed-{rounds}")
            follower.until_ids({"127.0.0.1:1", "kept", f"missed-{rounds}"}, SILENT)
            proxy.cut()
            scene.remove("a", f"missed-{rounds}")
            etcd.store.compact()
            follower.until_ids({"127.0.0.1:1", "kept"}, 5 * (RETRY + REQUEST))
        proxy.heal()
        say(f"met in round {rounds}")


def test_resume_does_not_read_again(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(version=version, proxied=True)
    with EtcdScene(etcd) as scene:
        scene.register("a", 1)
        followers = [scene.follow("a"), *(scene.follow(f"b{count}") for count in range(20))]
        scene.steady()
        before = scene.consumer.stats()
        for _ in range(10):
            etcd.proxies[0].cut()
            scene.probe([follower.service for follower in followers], SILENT)
        after = scene.consumer.stats()
        assert after["loads"] - before["loads"] <= len(followers), "one slow mending at most"
        assert all(
            seen.freshness == "live" for follower in followers for seen in follower.history if seen.ids
        )


def test_a_silent_connection_is_given_up(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """Nothing comes and nothing breaks: the watchdog has to notice, in each direction alone as well."""
    etcd = new_etcd(version=version, proxied=True)
    [proxy] = etcd.proxies
    with EtcdScene(etcd, ttl=3) as scene:
        registration = scene.register("a", 1)
        follower = scene.follow("a")
        scene.steady()
        for what, streams in (("silence", ("upstream", "downstream")), ("no answers", ("downstream",))):
            proxy.blackhole(streams=streams)  # type: ignore[arg-type]
            stale = follower.until(lambda latest: latest.freshness == "stale", 5 * SILENT)
            registration.wait("lost", timeout=5 * SILENT)
            proxy.heal()
            live = follower.until_ids({registration.id}, 5 * (RETRY + REQUEST))
            scene.until_registered(5 * (RETRY + REQUEST))
            say(
                f"{what}: stale after {stale:.2f} s (promised {SILENT:g} s), live {live:.2f} s after it healed"
            )
