"""`callsheet.aio`: callbacks run on the loop's thread, in order, one at a time, and none after close."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref

import pytest

import callsheet
import callsheet.aio
from callsheet.memory import Memory
from conftest import Run, instance, soon


def test_the_present_then_each_change_in_order(run: Run, memory: Memory) -> None:
    async def main() -> None:
        seen: list[callsheet.Snapshot] = []
        threads: set[int] = set()

        def changed(snapshot: callsheet.Snapshot) -> None:
            threads.add(threading.get_ident())
            seen.append(snapshot)

        async with callsheet.aio.connect(memory.url) as client:
            stop = client.on_change("billing", changed)
            client.on_change("accounts", changed)
            await soon(lambda: len(seen) == 2)
            for port in range(1, 21):
                memory.put(instance("billing", port))
            await soon(lambda: len(seen[-1]) == 20)
            billing = [snapshot for snapshot in seen if snapshot.service == "billing"]
            assert [s.revision for s in billing] == sorted({s.revision for s in billing})
            assert threads == {threading.get_ident()}
            stop()
            before = len(seen)
            memory.put(instance("billing", 21))
            memory.put(instance("accounts", 1))
            await soon(lambda: len(seen) == before + 1)
            assert seen[-1].service == "accounts"

    run(main())


def test_async_callbacks_are_never_concurrent(run: Run, memory: Memory) -> None:
    async def main() -> None:
        running = 0
        most = 0
        seen: list[tuple[str, int]] = []

        async def changed(snapshot: callsheet.Snapshot) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            seen.append((snapshot.service, len(snapshot)))
            running -= 1

        def plain(snapshot: callsheet.Snapshot) -> None:
            assert running == 0

        async with callsheet.aio.connect(memory.url) as client:
            for service in ("billing", "accounts"):
                client.on_change(service, changed)
                client.on_change(service, plain)
            for port in range(1, 21):
                memory.put(instance("billing", port))
                memory.put(instance("accounts", port))
                await asyncio.sleep(0)
            await soon(lambda: {("billing", 20), ("accounts", 20)} <= set(seen))
            assert client.stats()["callback_failures"] == 0
        assert most == 1
        counts = [count for service, count in seen if service == "billing"]
        assert counts == sorted(counts)

    run(main())


def test_a_callback_that_raises_is_logged_and_called_again(
    run: Run, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        seen: list[str] = []

        def plain(snapshot: callsheet.Snapshot) -> None:
            seen.append("plain")
            raise ValueError("on purpose")

        async def slow(snapshot: callsheet.Snapshot) -> None:
            await asyncio.sleep(0)
            seen.append("slow")
            raise ValueError("on purpose")

        async with callsheet.aio.connect(memory.url) as client:
            client.on_change("billing", plain)
            client.on_change("billing", slow)
            await soon(lambda: len(seen) == 2)
            memory.put(instance("billing", 1))
            await soon(lambda: client.stats()["callback_failures"] == 4)
        assert sorted(seen) == ["plain", "plain", "slow", "slow"]

    with caplog.at_level(logging.ERROR, "callsheet"):
        run(main())
    assert caplog.text.count("Traceback") == 4
    assert "on purpose" in caplog.text


def test_ctrl_c_in_a_callback_leaves_the_loop(memory: Memory) -> None:
    others: list[int] = []

    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:

            def interrupted(snapshot: callsheet.Snapshot) -> None:
                raise KeyboardInterrupt

            client.on_change("billing", interrupted)
            client.on_change("billing", lambda snapshot: others.append(len(snapshot)))
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert others == [0]


def test_a_callback_may_stop_itself(run: Run, memory: Memory) -> None:
    async def main() -> None:
        seen: list[str] = []

        def once(snapshot: callsheet.Snapshot) -> None:
            stop()
            seen.append("plain")

        async def once_slowly(snapshot: callsheet.Snapshot) -> None:
            await slow.close()
            seen.append("slow")

        async with callsheet.aio.connect(memory.url) as client:
            stop = client.on_change("billing", once)
            slow = client.on_change("billing", once_slowly)
            others: list[int] = []
            client.on_change("billing", lambda s: others.append(len(s)))
            await soon(lambda: len(seen) == 2)
            memory.put(instance("billing", 1))
            await soon(lambda: others[-1:] == [1])
            assert sorted(seen) == ["plain", "slow"]

    run(main())


@pytest.mark.parametrize("how", ["itself", "in a task of its own", "with a timeout"])
def test_a_callback_may_close_the_client(run: Run, memory: Memory, how: str) -> None:
    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        await client.register("billing", 80, on_state=lambda state: None)
        closed = asyncio.Event()

        async def close(snapshot: callsheet.Snapshot) -> None:
            if how == "itself":
                await client.close()
            elif how == "in a task of its own":
                await asyncio.gather(client.close())
            else:
                await asyncio.wait_for(client.close(), 20)
            closed.set()

        client.on_change("billing", close)
        await asyncio.wait_for(closed.wait(), 20)
        assert client.closed
        await client.close()

    run(main())


def test_subscribing_and_stopping_inside_a_callback(run: Run, memory: Memory) -> None:
    """python-etcd3#187: no deadlock."""

    async def main() -> None:
        done = asyncio.Event()
        depth: list[callsheet.aio.Subscription] = []

        async with callsheet.aio.connect(memory.url) as client:

            def nested(snapshot: callsheet.Snapshot) -> None:
                if len(depth) == 20:
                    done.set()
                    return
                depth.append(client.on_change("billing", nested))
                if len(depth) % 2:
                    client.on_change("billing", nested)()

            client.on_change("billing", nested)
            await asyncio.wait_for(done.wait(), 20)

    run(main())


def test_after_close_it_neither_runs_nor_will(run: Run, memory: Memory) -> None:
    async def main() -> None:
        calls: list[str] = []
        async with callsheet.aio.connect(memory.url) as client:
            for round_ in range(20):
                began = asyncio.Event()

                async def slow(snapshot: callsheet.Snapshot, began: asyncio.Event = began) -> None:
                    calls.append("began")
                    began.set()
                    await asyncio.sleep(0.001)
                    calls.append("ended")

                async with client.on_change("billing", slow):
                    await asyncio.wait_for(began.wait(), 20)
                    memory.put(instance("billing", 1, weight=round_ + 1))
                assert calls.count("began") == calls.count("ended")
            client.on_change("billing", lambda snapshot: calls.append("late"))
        before = list(calls)
        async with callsheet.aio.connect(memory.url) as witness:
            seen: list[int] = []
            witness.on_change("billing", lambda snapshot: seen.append(len(snapshot)))
            await soon(lambda: seen == [1])
            memory.put(instance("billing", 2))
            await soon(lambda: seen == [1, 2])
        assert calls == before

    run(main())


def test_close_waits_for_a_callback_and_then_says_timeout(
    run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsheet.aio._callbacks.CLOSE", 0.1)
    monkeypatch.setattr("callsheet.aio._client.CLOSE", 0.1)

    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        began, go = asyncio.Event(), asyncio.Event()
        calls: list[int] = []

        async def stuck(snapshot: callsheet.Snapshot) -> None:
            calls.append(len(snapshot))
            began.set()
            await go.wait()

        stop = client.on_change("billing", stuck)
        await asyncio.wait_for(began.wait(), 20)
        with pytest.raises(callsheet.Timeout, match="still runs"):
            await stop.close()
        with pytest.raises(callsheet.Timeout, match="still runs"):
            await client.close()
        memory.put(instance("billing", 1))
        go.set()
        await client.close()
        assert calls == [0]

    run(main())


def test_a_client_that_nobody_holds_goes(run: Run, memory: Memory) -> None:
    async def main() -> None:
        seen: list[int] = []
        client = callsheet.aio.connect(memory.url)
        stop = client.on_change("billing", lambda snapshot: seen.append(len(snapshot)))
        await soon(lambda: seen)
        gone = weakref.ref(client)
        del client, stop
        gc.collect()
        assert gone() is None
        async with callsheet.aio.connect(memory.url) as witness:
            told: list[int] = []
            witness.on_change("billing", lambda snapshot: told.append(len(snapshot)))
            await soon(lambda: told == [0])
            memory.put(instance("billing", 1))
            await soon(lambda: told == [0, 1])
        assert seen == [0]

    run(main())


def test_what_a_callback_holds_goes_after_it_is_stopped(run: Run, memory: Memory) -> None:
    class Holder:
        def changed(self, snapshot: callsheet.Snapshot) -> None:
            pass

    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            holder = Holder()
            gone = weakref.ref(holder)
            stop = client.on_change("billing", holder.changed)
            stop()
            del holder
            await soon(lambda: gc.collect() is not None and gone() is None)

    run(main())


def test_many_subscriptions_leave_the_loop_its_turns(run: Run, memory: Memory) -> None:
    """More callbacks than run in one turn."""

    async def main() -> None:
        seen: dict[int, int] = {}
        async with callsheet.aio.connect(memory.url) as client:
            for number in range(200):
                client.on_change("billing", lambda s, n=number: seen.__setitem__(n, len(s)))  # type: ignore[misc]
            memory.put(instance("billing", 1))
            await soon(lambda: list(seen.values()) == [1] * 200)

    run(main())
