"""What is stored is seen as it is: one service apart from another, transactions whole, and garbage not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from base64 import b64encode
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import callsheet
from conftest import NewEtcd, Say
from etcd_scene import EtcdScene, foreign_value
from footprint import Stopwatch
from servers import Cluster
from servers.binaries import Version

RETRY, REQUEST = 5.0, 5.0


def test_15_prefix_collision(version: Version, new_etcd: NewEtcd) -> None:
    services = ("a", "ab", "a.b", "a-b", "a_", "A")
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        for port, service in enumerate(services, 1):
            scene.register(service, port)
            scene.follow(service)
        scene.steady()
        for port, service in enumerate(services, 1):
            scene.followers[service].until_ids({f"127.0.0.1:{port}"}, REQUEST)
        assert scene.names == sorted(services)
        scene.close_registration(scene.registrations[0])
        scene.followers["a"].until_ids(set(), REQUEST)
        for port, service in enumerate(services[1:], 2):
            scene.followers[service].until_ids({f"127.0.0.1:{port}"}, REQUEST)
        # Prefixes that begin alike, one below the other even.
        paths = ("/team", "/teams", "/team/a")
        clients = [callsheet.connect(etcd.url_of(etcd.endpoints, path=path)) for path in paths]
        for port, client in enumerate(clients, 1):
            client.register("a", port, "127.0.0.1")
        for port, client in enumerate(clients, 1):
            assert [instance.port for instance in client.lookup("a")] == [port]
        for client in clients:
            assert client.services() == ["a"]
            client.close()


def test_21_garbage(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    etcd = new_etcd(version=version)
    with EtcdScene(etcd, ttl=3) as scene:
        registration = scene.register("a", 1)
        follower, sibling = scene.follow("a"), scene.follow("b")
        scene.register("b", 2)
        scene.put("a", "foreign")
        scene.steady()
        good = {registration.id, "foreign"}
        before = len(follower.history)
        garbage = {
            "null": b"null",
            "empty-object": b"{}",
            "list": b"[]",
            "text": b"10.0.0.1:80",
            "foreign-json": b'{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}',
            "invalid-utf8": b"\xff\xfe{",
            "nothing": b"",
            "megabyte": b"x" * (1 << 20),
            "half": foreign_value("a", "half").encode()[:-1],
            "empty-address": foreign_value("a", "empty-address").replace("127.0.0.1", "").encode(),
            "port-0": foreign_value("a", "port-0", 0).encode(),
            "port-65536": foreign_value("a", "port-65536", 65536).encode(),
            "port-text": foreign_value("a", "port-text").replace("9}", '"9"}').encode(),
        }
        values = {f"a/{id}": value for id, value in garbage.items()}
        # Good values, under keys that are no instance's.
        values |= {
            key: foreign_value("a", "x").encode() for key in ("a/nested/key", "a/", "a", "ab", "/x", "a//x")
        }
        for key, value in values.items():
            scene.put_garbage({key: value})
        # Live readers have seen it all once this is seen.
        scene.probe(["a", "b"], REQUEST)
        assert {id for seen in list(follower.history)[before:] for id in seen.ids} <= good | {"probe"}
        skipped = scene.consumer.stats()["undecodable"]
        assert skipped == len(garbage) + 3, "of these three follow the prefix of the service, and are no ids"
        with callsheet.connect(etcd.url) as fresh:
            assert {instance.id for instance in fresh.lookup("a")} == good | {"probe"}
            assert {instance.id for instance in fresh.lookup("b")} == {"127.0.0.1:2", "probe"}
            assert fresh.stats()["undecodable"] == skipped

        slowest = 0.0
        for value in garbage.values():
            etcd.store.put(scene.key(registration), value)
            overwritten = Stopwatch()
            follower.until_ids({"foreign", "probe"}, REQUEST)
            follower.until_ids(good | {"probe"}, 5 * (1 + REQUEST))
            slowest = max(slowest, overwritten.seconds)
        say(f"a live instance was back {slowest:.2f} s after garbage at most (promised 1 s and a request)")
        for seen in (*follower.history, *sibling.history):
            assert {"127.0.0.1:2"} <= set(seen.ids) or "127.0.0.1:2" not in good
            assert seen.freshness == "live"
        assert all("127.0.0.1:2" in seen.ids for seen in list(sibling.history)[1:])


def test_21_ten_keys_in_one_transaction(version: Version, new_etcd: NewEtcd) -> None:
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        follower = scene.follow("a")
        old, new = [f"old-{at}" for at in range(10)], [f"new-{at}" for at in range(10)]
        scene.put("a", *old)
        follower.until_ids(set(old), REQUEST)
        scene.steady()
        for _ in range(20):
            before = len(follower.history)
            keys = [f"{scene.prefix}a/{id}" for id in old]
            puts = {f"{scene.prefix}a/{id}": foreign_value("a", id) for id in new}
            scene.placed = scene.placed - set(keys) | puts.keys()
            etcd.store.transaction(puts, keys)
            follower.until_ids(set(new), REQUEST)
            assert [set(seen.ids) for seen in list(follower.history)[before:]] == [set(new)]
            old, new = new, old


def test_fragments_are_joined(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """A reader that was stopped for a moment is sent what it missed in one response of many revisions, which etcd cuts
    into pieces above 1.5 MB.
    """
    # A piece is of at most 2 MiB: 23 keys, so that it ends inside a transaction.
    transactions, keys, size = 25, 10, 90_000
    etcd = new_etcd(version=version)
    with EtcdScene(etcd) as scene:
        scene.register("a", 1)
        scene.steady()
        for _ in range(10):
            first = etcd.store.revision() + 1
            told = after_a_stop(scene, transactions, keys, size)
            assert all(count % keys == 0 for count in told["counts"]), "transactions are whole"
            assert (told["whole"], told["freshness"]) == (True, "live")
            pieces = fragments(etcd, f"{scene.prefix}big/", first, transactions * keys)
            assert pieces > 1
            etcd.store.delete_prefix(f"{scene.prefix}big/")
            if told["loads"] == 1:
                break
        # Else each time a ping came due while it was stopped, and its connection was given up.
        assert told["loads"] == 1
        say(f"{transactions} transactions of {keys * size / 1e6:g} MB; etcd sends them in {pieces} pieces")


def after_a_stop(scene: EtcdScene, transactions: int, keys: int, size: int) -> dict[str, Any]:
    """What a reader in another process has seen of transactions that were made while it was stopped."""
    script, count = Path(__file__).with_name("reader.py"), transactions * keys
    command = [sys.executable, str(script), scene.etcd.url, "big", str(count), str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "watching\n"
        reader.send_signal(signal.SIGSTOP)
        for at in range(transactions):
            ids = [f"{at:02}-{key}" for key in range(keys)]
            scene.etcd.store.transaction({f"{scene.prefix}big/{id}": big_value(id, size) for id in ids})
        reader.send_signal(signal.SIGCONT)
        return dict(json.loads(reader.stdout.readline()))


def big_value(id: str, size: int) -> str:
    value = json.loads(foreign_value("big", id))
    return json.dumps({**value, "metadata": {"blob": id * (size // len(id))}})


def fragments(etcd: Cluster, prefix: str, revision: int, count: int) -> int:
    """How many responses that are not the last of theirs etcd's own gateway gets of this history."""
    key, end = (b64encode(text.encode()).decode() for text in (prefix, prefix[:-1] + "0"))
    create = {"key": key, "range_end": end, "start_revision": str(revision), "fragment": True}
    connection = HTTPConnection(etcd.members[0].endpoint, timeout=20)
    connection.request("POST", "/v3/watch", json.dumps({"create_request": create}))
    answer = connection.getresponse()
    seen = pieces = 0
    while seen < count:
        result = json.loads(answer.readline())["result"]
        seen += len(result.get("events", []))
        pieces += bool(result.get("fragment"))
    connection.close()
    return pieces
