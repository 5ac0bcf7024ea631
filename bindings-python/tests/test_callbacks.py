from __future__ import annotations

import gc
import logging
import queue
import threading
import time
import weakref

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually, instance


def test_the_present_then_each_change_in_order(client: callsheet.Client, memory: Memory) -> None:
    seen: list[callsheet.Snapshot] = []
    threads: set[threading.Thread] = set()

    def changed(snapshot: callsheet.Snapshot) -> None:
        threads.add(threading.current_thread())
        seen.append(snapshot)

    stop = client.on_change("billing", changed)
    client.on_change("accounts", changed)
    eventually(lambda: len(seen) == 2)
    for port in range(1, 21):
        memory.put(instance("billing", port))
    eventually(lambda: len(seen[-1]) == 20)
    billing = [snapshot for snapshot in seen if snapshot.service == "billing"]
    assert [s.revision for s in billing] == sorted({s.revision for s in billing})
    (thread,) = threads
    assert thread is not threading.main_thread()
    assert thread.daemon
    stop()
    before = len(seen)
    memory.put(instance("billing", 21))
    memory.put(instance("accounts", 1))
    eventually(lambda: len(seen) == before + 1)
    assert seen[-1].service == "accounts"


def test_filters(client: callsheet.Client, memory: Memory) -> None:
    seen: list[list[int]] = []
    memory.put(instance("billing", 1))
    memory.put(instance("billing", 2, tags=["v2"]))
    with client.on_change("billing", lambda s: seen.append([i.port for i in s]), tags=["v2"]):
        eventually(lambda: seen == [[2]])


def test_a_callback_that_raises_is_logged_and_called_again(
    client: callsheet.Client, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def raising(snapshot: callsheet.Snapshot) -> None:
        seen.append(len(snapshot))
        raise SystemExit("on purpose") if len(snapshot) else ValueError("on purpose")

    with caplog.at_level(logging.ERROR, "callsheet"):
        client.on_change("billing", raising)
        eventually(lambda: len(seen) == 1)
        memory.put(instance("billing", 1))
        eventually(lambda: client.stats()["callback_failures"] == 2)
    assert seen == [0, 1]
    assert caplog.text.count("Traceback") == 2
    assert "on purpose" in caplog.text


def test_a_callback_may_stop_itself(client: callsheet.Client, memory: Memory) -> None:
    seen: list[int] = []
    ready = threading.Event()
    stopped = threading.Event()

    def once(snapshot: callsheet.Snapshot) -> None:
        ready.wait(10)
        stop()
        seen.append(len(snapshot))
        stopped.set()

    stop = client.on_change("billing", once)
    ready.set()
    assert stopped.wait(10)
    others: list[int] = []
    client.on_change("billing", lambda s: others.append(len(s)))
    memory.put(instance("billing", 1))
    eventually(lambda: others[-1:] == [1])
    assert seen == [0]


def test_a_callback_may_close_the_client(memory: Memory) -> None:
    client = callsheet.connect(memory.url)
    client.register("billing", 80, on_state=lambda state: None)
    closed = threading.Event()

    def close(snapshot: callsheet.Snapshot) -> None:
        client.close()
        closed.set()

    client.on_change("billing", close)
    assert closed.wait(10)
    assert client.closed
    client.close()


def test_subscribing_and_stopping_inside_a_callback(client: callsheet.Client) -> None:
    """python-etcd3#187: no deadlock."""
    done = threading.Event()
    depth: list[callsheet.Subscription] = []

    def nested(snapshot: callsheet.Snapshot) -> None:
        if len(depth) == 20:
            done.set()
            return
        inner = client.on_change("billing", nested)
        depth.append(inner)
        if len(depth) % 2:
            client.on_change("billing", nested)()

    client.on_change("billing", nested)
    assert done.wait(10)


def test_after_stop_returns_it_neither_runs_nor_will(client: callsheet.Client, memory: Memory) -> None:
    for round_ in range(20):
        running = threading.Event()
        ended = threading.Event()

        def slow(_: object, running: threading.Event = running, ended: threading.Event = ended) -> None:
            running.set()
            threading.Event().wait(0.01)
            ended.set()

        stop = client.on_change("billing", slow)
        assert running.wait(10)
        memory.put(instance("billing", 1, weight=round_ + 1))
        stop()
        assert ended.is_set()
        running.clear()
        assert not running.wait(0.001)


def test_close_waits_for_a_callback_and_then_says_timeout(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsheet._callbacks.CLOSE", 0.1)
    monkeypatch.setattr("callsheet._client.CLOSE", 0.1)
    client = callsheet.connect(memory.url)
    running, go = threading.Event(), threading.Event()
    calls: list[int] = []

    def stuck(snapshot: callsheet.Snapshot) -> None:
        calls.append(len(snapshot))
        running.set()
        go.wait(60)

    stop = client.on_change("billing", stuck)
    assert running.wait(10)
    with pytest.raises(callsheet.Timeout, match="still runs"):
        stop()
    with pytest.raises(callsheet.Timeout, match="still runs"):
        client.close()
    memory.put(instance("billing", 1))
    go.set()
    client.close()
    assert calls == [0]


def test_the_thread_ends_with_the_client(memory: Memory) -> None:
    client = callsheet.connect(memory.url)
    before = set(threading.enumerate())
    client.on_change("billing", lambda s: None)
    (thread,) = set(threading.enumerate()) - before
    client.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_client_that_nobody_holds_goes_with_its_thread_once_nothing_is_subscribed(memory: Memory) -> None:
    seen: queue.Queue[int] = queue.Queue()
    before = set(threading.enumerate())

    class Program:
        def __init__(self) -> None:
            self.client = callsheet.connect(memory.url)
            self.stop = self.client.on_change("billing", self.changed)

        def changed(self, snapshot: callsheet.Snapshot) -> None:
            seen.put(len(snapshot))

    def subscribed() -> callsheet.Subscription:
        return callsheet.connect(memory.url).on_change("billing", lambda snapshot: seen.put(len(snapshot)))

    # Whatever a function closes over, dropping the rest does not stop it.
    stops = [subscribed(), Program().stop]
    gc.collect()
    assert [seen.get(timeout=10) for _ in stops] == [0, 0]
    memory.put(callsheet.Instance("billing", "h", 1))
    assert [seen.get(timeout=10) for _ in stops] == [1, 1]
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    for stop in stops:
        stop.close()
        assert repr(stop) == "<Subscription closed>"
    del stop, stops
    gc.collect()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_thread_that_cannot_start_is_an_error_and_tried_again(
    client: callsheet.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        with pytest.raises(callsheet.Internal, match="ulimit -u"):
            client.on_change("billing", lambda snapshot: None)
    called = threading.Event()
    client.on_change("billing", lambda snapshot: called.set())
    assert called.wait(10)


def test_what_a_callback_holds_goes_after_it_is_stopped(client: callsheet.Client) -> None:
    class Holder:
        def changed(self, snapshot: callsheet.Snapshot) -> None:
            pass

    holder = Holder()
    gone = weakref.ref(holder)
    stop = client.on_change("billing", holder.changed)
    stop()
    del holder
    eventually(lambda: gc.collect() is not None and gone() is None)


def test_many_subscriptions(client: callsheet.Client, memory: Memory) -> None:
    seen: dict[int, int] = {}
    subscriptions = [
        client.on_change("billing", lambda s, n=n: seen.__setitem__(n, len(s)))  # type: ignore[misc]
        for n in range(200)
    ]
    memory.put(instance("billing", 1))
    eventually(lambda: list(seen.values()) == [1] * 200)
    began = time.monotonic()
    for subscription in subscriptions:
        subscription.close()
    assert time.monotonic() - began < 5
