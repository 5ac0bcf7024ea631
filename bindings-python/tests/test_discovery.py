"""Lookups, watches, snapshots and instances."""

from __future__ import annotations

import collections.abc
import copy
import gc
import pickle
import threading
import weakref

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually, instance


def test_a_service_nobody_registered_is_an_empty_list(client: callsheet.Client) -> None:
    snapshot = client.lookup("billing")
    assert len(snapshot) == 0
    assert list(snapshot) == []
    assert snapshot.freshness == "live"
    assert snapshot.service == "billing"


def test_filters(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1, tags=["v1"], zone="a", version="1", metadata={"team": "pay"}))
    memory.put(instance("billing", 2, tags=["v1", "v2"], zone="b", version="2", status="warning"))
    memory.put(instance("billing", 3, tags=["v2"], zone="b", version="1"))

    def ports(**filters: object) -> list[int]:
        return [i.port for i in client.lookup("billing", **filters)]  # type: ignore[arg-type]

    assert ports() == [1, 3]
    assert ports(healthy=False) == [1, 2, 3]
    assert ports(tags=["v1", "v2"], healthy=False) == [2]
    assert ports(tags={"v2"}) == [3]
    assert ports(zone="a") == [1]
    assert ports(version="1") == [1, 3]
    assert ports(metadata={"team": "pay"}) == [1]
    assert ports(metadata={"team": "pay"}, zone="b") == []


def test_a_registry_that_cannot_be_read_is_unavailable(memory: Memory) -> None:
    memory.unreachable()
    with callsheet.connect(memory.url, timeout=0.2) as client:
        with pytest.raises(callsheet.Unavailable) as caught:
            client.lookup("billing")
        assert caught.value.retryable
        with pytest.raises(callsheet.Unavailable):
            client.services()


def test_a_snapshot_is_a_sequence(client: callsheet.Client, memory: Memory) -> None:
    for port in (1, 2, 3):
        memory.put(instance("billing", port))
    snapshot = client.lookup("billing")
    assert isinstance(snapshot, collections.abc.Sequence)
    first, second, third = snapshot
    assert (snapshot[0], snapshot[-1], snapshot[True]) == (first, third, second)
    assert snapshot[1:] == (second, third)
    assert snapshot[::-1] == (third, second, first) == tuple(reversed(snapshot))
    assert second in snapshot
    assert instance("billing", 9) not in snapshot
    assert "10.0.0.1:2" not in snapshot
    assert snapshot.index(second) == 1
    assert snapshot.count(second) == 1
    assert snapshot.count(instance("billing", 9)) == 0
    assert snapshot.get("10.0.0.1:2") is second
    assert snapshot.get("nobody") is None
    assert bool(snapshot)
    for wrong in (3, -4, 10**30):
        with pytest.raises(IndexError):
            snapshot[wrong]
    with pytest.raises(TypeError):
        snapshot["a"]  # type: ignore[call-overload]
    for arguments in ((instance("billing", 9),), (first, 1), (third, 0, -1)):
        with pytest.raises(ValueError, match="not in the snapshot"):
            snapshot.index(*arguments)
    assert repr(snapshot) == f"<Snapshot billing live revision={snapshot.revision} 3 instances>"
    match snapshot:
        case [_, _, _]:
            pass
        case _:
            pytest.fail("a snapshot matches as a sequence")


def test_unchanged_instances_are_the_same_objects(client: callsheet.Client, memory: Memory) -> None:
    for port in range(1, 101):
        memory.put(instance("billing", port))
    with client.watch("billing") as watch:
        before = next(watch)
        seen = list(before)
        memory.put(instance("billing", 50, weight=2))
        memory.put(instance("billing", 101))
        memory.delete("billing", "10.0.0.1:7")
        after = before
        while after.get("10.0.0.1:7") is not None:
            after = next(watch)
        same = [i for i in after if any(i is old for old in seen)]
        assert len(same) == 98
        changes = after.changes_since(before)
        assert changes
        assert [i.id for i in changes.added] == ["10.0.0.1:101"]
        assert [i.id for i in changes.removed] == ["10.0.0.1:7"]
        assert [(i.id, i.weight) for i in changes.changed] == [("10.0.0.1:50", 2)]
        assert changes.removed[0] is before.get("10.0.0.1:7")
        assert repr(changes) == "<Changes added=1 removed=1 changed=1>"
        assert not after.changes_since(after)
        # Another verb and another filter, the same objects.
        assert client.lookup("billing", version="")[0] is after[0]
        picked = client.picker("billing").pick()
        assert picked.instance is client.lookup("billing").get(picked.id)


def test_a_snapshot_is_converted_once(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1))
    assert client.lookup("billing") is client.lookup("billing")
    first = client.lookup("billing")[0]
    with client.watch("billing") as watch:
        assert next(watch)[0] is first
    assert client.picker("billing").pick().instance is first


def test_instances_live_no_longer_than_they_are_needed(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1))
    gone = weakref.ref(client.lookup("billing")[0])
    assert gone() is None
    snapshot = client.lookup("billing")
    held = weakref.ref(next(iter(snapshot)))
    assert held() is not None
    client.close()
    assert held() is not None
    del snapshot
    assert held() is None


def test_an_instance_is_a_value(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1, tags=["a"], metadata={"k": "v"}))
    (found,) = client.lookup("billing")
    twin = instance("billing", 1, tags=["a"], metadata={"k": "v"})
    assert found == twin
    assert hash(found) == hash(twin)
    assert {found: 1}[twin] == 1
    assert found != instance("billing", 1)
    assert found != "10.0.0.1:1"
    assert instance("billing", 1) < instance("billing", 2)
    assert sorted([instance("b", 2), instance("a", 3)])[0].service == "a"
    with pytest.raises(TypeError):
        found < 1  # type: ignore[operator]  # noqa: B015
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(found, protocol)) == found
    assert copy.deepcopy(found) == copy.copy(found) == found
    with pytest.raises(AttributeError):
        found.port = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.metadata["k"] = "w"  # type: ignore[index]
    assert found.metadata is found.metadata
    assert found.url == "http://10.0.0.1:1"
    assert callsheet.Instance("a", "::1", 80, scheme="https").url == "https://[::1]:80"
    assert callsheet.Instance("a", "::1", 80).authority == "[::1]:80"
    assert repr(found) == "<Instance billing 10.0.0.1:1 passing>"
    assert repr(instance("billing", 1, id="x")) == '<Instance billing 10.0.0.1:1 id="x" passing>'


def test_an_instance_made_by_hand_is_checked() -> None:
    with pytest.raises(callsheet.InvalidArgument):
        instance("billing", 0)
    with pytest.raises(callsheet.InvalidArgument):
        instance("billing", 1, status="fine")
    with pytest.raises(callsheet.InvalidArgument):
        instance("billing", 1, metadata={"a": 1})
    with pytest.raises(TypeError):
        callsheet.Instance("billing", 7, 1)  # type: ignore[arg-type]


def test_a_watch_yields_the_present_then_each_change(client: callsheet.Client, memory: Memory) -> None:
    watch = client.watch("billing")
    assert len(next(watch)) == 0
    memory.put(instance("billing", 1))
    assert [i.port for i in next(watch)] == [1]
    memory.put(instance("billing", 2, status="critical"))
    memory.put(instance("billing", 3))
    assert [i.port for i in next(watch)] == [1, 3]
    watch.close()
    assert list(watch) == []
    assert watch.closed
    assert repr(watch) == "<Watch closed>"


def test_a_slow_reader_sees_the_latest(client: callsheet.Client, memory: Memory) -> None:
    watch = client.watch("billing")
    next(watch)
    for port in range(1, 51):
        memory.put(instance("billing", port))
    eventually(lambda: len(client.lookup("billing")) == 50)
    assert len(next(watch)) == 50
    assert watch.skipped > 0


def test_a_watch_outlives_the_registry(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1))
    with client.watch("billing") as watch:
        live = next(watch)
        assert (live.freshness, live.age, live.last_error) == ("live", 0, None)
        memory.unreachable()
        stale = next(watch)
        assert stale.freshness == "stale"
        assert stale[0] is live[0]
        assert isinstance(stale.last_error, callsheet.Unavailable)
        eventually(lambda: stale.age > 0)
        assert stale.source == memory.url
        assert stale.revision > live.revision
        memory.unreachable(False)
        assert next(watch).freshness == "live"


def test_closing_ends_every_reader(memory: Memory) -> None:
    client = callsheet.connect(memory.url)
    watches = [client.watch("billing"), client.watch("billing", healthy=False)]
    names = client.watch_services()
    ended: list[str] = []
    began = threading.Barrier(5)

    def read(watch: callsheet.Watch | callsheet.NamesWatch) -> None:
        next(watch)
        began.wait(10)
        ended.extend("ended" for _ in [list(watch)])

    def second(watch: callsheet.Watch) -> None:
        began.wait(10)
        ended.extend("ended" for _ in [list(watch)])

    threads = [threading.Thread(target=read, args=(watch,)) for watch in (*watches, names)]
    threads.append(threading.Thread(target=second, args=(watches[0],)))
    for thread in threads:
        thread.start()
    began.wait(10)
    client.close()
    for thread in threads:
        thread.join(10)
    assert ended == ["ended"] * 4


def test_closing_a_watch_from_another_thread_ends_it(client: callsheet.Client) -> None:
    watch = client.watch("billing")
    next(watch)
    closer = threading.Timer(0.05, watch.close)
    closer.start()
    assert list(watch) == []
    closer.join()


def test_wait_for(client: callsheet.Client, memory: Memory) -> None:
    with pytest.raises(callsheet.Timeout, match="did not have 1"):
        client.wait_for("billing", timeout=0.05)
    assert len(client.wait_for("billing", 0)) == 0
    found: list[int] = []
    waiter = threading.Thread(
        target=lambda: found.append(len(client.wait_for("billing", 2, 10, tags=["v2"])))
    )
    waiter.start()
    for port in (1, 2, 3):
        memory.put(instance("billing", port, tags=["v2"] if port > 1 else []))
    waiter.join(10)
    assert found == [2]


def test_names(client: callsheet.Client, memory: Memory) -> None:
    assert client.services() == []
    with client.watch_services() as watch:
        assert next(watch) == []
        memory.put(instance("billing", 1))
        assert next(watch) == ["billing"]
    memory.put(instance("accounts", 1))
    eventually(lambda: client.services() == ["accounts", "billing"])
    assert list(watch) == []


def test_memory_is_a_registry_with_faults(client: callsheet.Client, memory: Memory) -> None:
    assert repr(memory).startswith('<Memory "test-')
    memory.put(instance("billing", 1))
    with client.watch("billing") as watch:
        assert len(next(watch)) == 1
        memory.answer_with_lists()
        memory.put(instance("billing", 2))
        assert len(next(watch)) == 2
        memory.answer_empty()
        held = next(watch)
        assert (len(held), held.freshness) == (2, "stale")
        memory.answer_empty(False)
        assert next(watch).freshness == "live"
        memory.compact()
        memory.change_identity()
        memory.delete("billing", "10.0.0.1:2")
        eventually(lambda: len(client.lookup("billing")) == 1)
        memory.wipe()
        eventually(
            lambda: len(client.lookup("billing")) == 0 or client.lookup("billing").freshness == "stale"
        )
    with pytest.raises(callsheet.InvalidArgument):
        memory.put(callsheet.Instance("a/b", "h", 1))
    with pytest.raises(callsheet.InvalidArgument):
        Memory("a/b")
    with pytest.raises(callsheet.InvalidArgument):
        memory.slow(-1)


def test_ten_thousand_instances(client: callsheet.Client, memory: Memory) -> None:
    for port in range(1, 10_001):
        memory.put(instance("billing", port))
    with client.watch("billing") as watch:
        before: list[callsheet.Instance] = []
        while len(before) < 10_000:
            before = list(next(watch))
        memory.put(instance("billing", 5000, weight=9))
        after = list(next(watch))
    assert sum(a is b for a, b in zip(before, after, strict=True)) == 9_999
    gc.collect()


def test_the_snapshots_that_are_kept_are_bounded(client: callsheet.Client, memory: Memory) -> None:
    names = [f"service-{number}" for number in range(6000)]
    for name in names:
        memory.put(instance(name, 1))
    refs = [weakref.ref(next(iter(client.lookup(name)))) for name in names]
    gc.collect()
    assert 2048 <= sum(ref() is not None for ref in refs) <= 4096
