"""What watchers see, and what they cost: callbacks that watch, readers that do not read, neighbours, garbage."""

from __future__ import annotations

import threading
from collections import deque

import callsheet
from conftest import NewEtcd, Say
from footprint import Footprint, Stopwatch
from invariants import until_none
from scene import MEMORY, SETTLED, Scene, foreign_value
from servers.binaries import Version

REQUEST = 5.0


def test_11_callbacks_subscribe_and_unsubscribe(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    rounds = 200
    etcd = new_etcd(version=version)
    with Scene(etcd) as scene:
        scene.put("a", "one")
        scene.put("b", "two")
        scene.follow("b").until_ids({"two"}, REQUEST)
        scene.steady()
        done, failed = threading.Event(), list[BaseException]()
        open_now: list[callsheet.Subscription] = []

        def again(snapshot: callsheet.Snapshot, left: int) -> None:
            try:
                open_now.pop().close()
                if left:
                    subscribe(left - 1)
                else:
                    done.set()
            except BaseException as error:
                failed.append(error)
                done.set()

        def subscribe(left: int) -> None:
            # Another service each time has the stream make and cancel a watcher, too.
            service = f"round-{left % 7}"
            open_now.append(scene.consumer.on_change(service, lambda snapshot: again(snapshot, left)))

        began = Stopwatch()
        subscribe(rounds)
        assert done.wait(5 * REQUEST), f"a deadlock, or {failed}"
        assert not failed
        say(f"{rounds} subscriptions from within callbacks in {began.seconds:.2f} s")
        # Services that nobody uses are followed for a while; these are no leak.
        for at in range(7):
            scene.follow(f"round-{at}").until_ids(set(), REQUEST)


def test_14_a_consumer_that_never_reads(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    warm, changes, batch = 1000, 3000, 100
    etcd = new_etcd(version=version)
    with Scene(etcd) as scene:
        follower = scene.follow("a")
        scene.put("a", *(str(at) for at in range(50)))
        follower.until(lambda latest: len(latest) == 50, REQUEST)
        idle = [scene.consumer.watch("a") for _ in range(20)]
        # What the test itself remembers of each is not to count.
        follower.history = deque(maxlen=100)
        slowest = 0.0
        for change in range(1, warm + changes + 1):
            if change == warm:
                before = Footprint.now()
            etcd.store.put("/services/a/0", foreign_value("a", "0", change))
            if change % batch == 0:
                took = follower.until(lambda latest, port=change: port_of(latest) == port, REQUEST)  # type: ignore[misc]
                slowest = max(slowest, took)
        until_none(lambda: Footprint.now().growth_since(before, MEMORY), SETTLED)
        # Each has the latest one, and only that.
        for watch in idle:
            assert port_of(next(iter(watch))) == warm + changes
            watch.close()
        say(f"{changes} changes beside 20 readers that slept; others waited {slowest * 1000:.0f} ms at most")


def test_15_names_that_begin_alike(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(version=version)
    services = ("a", "ab", "a.b", "a-b")
    with Scene(etcd) as scene:
        for port, service in enumerate(services, 1):
            scene.register(service, port)
            scene.follow(service)
        for port, service in enumerate(services, 1):
            scene.followers[service].until_ids({f"127.0.0.1:{port}"}, REQUEST)
        scene.steady()
        scene.register("a", 9)
        scene.followers["a"].until_ids({"127.0.0.1:1", "127.0.0.1:9"}, REQUEST)
        for port, service in enumerate(services, 1):
            expected = {(f"127.0.0.1:{port}",), ()} | (
                {("127.0.0.1:1", "127.0.0.1:9")} if service == "a" else set()
            )
            assert {seen.ids for seen in scene.followers[service].history} <= expected
            assert [one.port for one in scene.consumer.lookup(service)] == (
                [1, 9] if service == "a" else [port]
            )


def test_21_garbage_beside_and_over_instances(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version)
    with Scene(etcd, ttl=3) as scene:
        garbage = {
            "a/null": b"null",
            "a/empty-object": b"{}",
            "a/foreign": b'{"colour": "red", "port": 80}',
            "a/no-address": b'{"address": "", "port": 80}',
            "a/not-utf8": b"\xff\xfe\xfd",
            "a/nothing": b"",
            "a/megabyte": b"[" * 1_000_000,
            "a/nested/key": b'{"address": "127.0.0.1", "port": 80}',
            "a/": b'{"address": "127.0.0.1", "port": 80}',
            "a": b'{"address": "127.0.0.1", "port": 80}',
        }
        # Some before anybody reads, so that loads meet it; all again later, so that watches do.
        scene.put_garbage(garbage)
        registrations = [scene.register("a", port) for port in range(1, 4)]
        good = {registration.id for registration in registrations}
        follower = scene.follow("a")
        follower.until_ids(good, REQUEST)
        loaded = scene.consumer.stats()["undecodable"]
        assert loaded >= 8, "what a load skipped is counted"
        scene.steady()
        scene.put_garbage(garbage)
        scene.probe(["a"], REQUEST)
        assert scene.consumer.stats()["undecodable"] >= loaded + 8, "what a watch skipped is counted"
        shown = {each for seen in follower.history for each in seen.ids}
        assert shown <= good | {"probe"}, "nothing half-decoded is shown"

        # Over a live one: its owner puts it back.
        over = registrations[0]
        scene.put_garbage({f"a/{over.id}": b"null"})
        began = Stopwatch()
        until_none(lambda: [] if _is_ours(scene, over) else ["garbage is still there"], 5 * REQUEST)
        scene.garbage.discard(scene.key(over))
        follower.until_ids(good | {"probe"}, REQUEST)
        say(f"an overwritten instance was back after {began.seconds:.2f} s")

        # One transaction is one snapshot.
        ten = [f"t{at}" for at in range(10)]
        for _ in range(20):
            scene.put("a", *ten)
            follower.until(lambda latest: all(latest.get(each) for each in ten), REQUEST)
            scene.remove("a", *ten)
            follower.until(lambda latest: not any(latest.get(each) for each in ten), REQUEST)
        halves = [seen.ids for seen in follower.history if 0 < len(set(ten) & set(seen.ids)) < 10]
        assert not halves


def port_of(snapshot: callsheet.Snapshot) -> int | None:
    first = snapshot.get("0")
    return first.port if first else None


def _is_ours(scene: Scene, registration: callsheet.Registration) -> bool:
    entry = scene.etcd.store.get(scene.key(registration))
    return entry is not None and entry.lease != 0 and b"owner" in entry.value
