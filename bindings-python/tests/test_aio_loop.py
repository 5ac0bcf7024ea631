"""`callsheet.aio` and its event loop: one wake for a batch, several loops, a closed one, a foreign one."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

import callsheet
import callsheet.aio
from callsheet.aio._waits import Waits
from callsheet.memory import Memory
from conftest import LOOPS, Run, WithoutDescriptors, eventually, instance, run_on, soon


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> int:
    return sum(thread.name == "callsheet-wakes" for thread in threading.enumerate())


class Counting(WithoutDescriptors):
    """A loop that counts how often another thread called it."""

    calls = 0

    def call_soon_threadsafe(self, *arguments: Any, **more: Any) -> asyncio.Handle:  # type: ignore[override]
        self.calls += 1
        return super().call_soon_threadsafe(*arguments, **more)


def test_a_batch_is_one_call_soon_threadsafe(memory: Memory) -> None:
    """A hundred watches have news while the loop is busy: it is called once."""
    loop = Counting()

    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            watches = [client.watch(f"billing-{number}") for number in range(100)]
            for watch in watches:
                await watch.__anext__()
            reads = [asyncio.ensure_future(watch.__anext__()) for watch in watches]
            await asyncio.sleep(0)
            assert len(client._waits._woken) == 100
            before = loop.calls
            for number in range(100):
                memory.put(instance(f"billing-{number}", 1))
            with callsheet.connect(memory.url) as other:
                for number in range(100):
                    other.wait_for(f"billing-{number}", timeout=20)
            eventually(lambda: loop.calls > before)
            assert not any(read.done() for read in reads)
            assert [len(snapshot) for snapshot in await asyncio.gather(*reads)] == [1] * 100
            # News that reached this client after the others' would be a second batch.
            assert loop.calls - before <= 3

    run_on(loop, main())


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_batch_is_one_look(memory: Memory, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a descriptor no other thread calls the loop at all, and it looks once for all that came."""
    looks: list[int] = []
    look = Waits.look

    def counted(waits: Waits) -> None:
        looks.append(1)
        look(waits)

    monkeypatch.setattr(Waits, "look", counted)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with callsheet.aio.connect(memory.url) as client:
            watches = [client.watch(f"billing-{number}") for number in range(100)]
            for watch in watches:
                await watch.__anext__()
            reads = [asyncio.ensure_future(watch.__anext__()) for watch in watches]
            await asyncio.sleep(0)
            looks.clear()
            for number in range(100):
                memory.put(instance(f"billing-{number}", 1))
            with callsheet.connect(memory.url) as other:
                for number in range(100):
                    other.wait_for(f"billing-{number}", timeout=20)
            assert [len(snapshot) for snapshot in await asyncio.gather(*reads)] == [1] * 100
            assert 1 <= len(looks) <= 10
            assert threads() == 0
            assert loop.is_running()

    run_on(LOOPS[kind](), main())


def test_several_loops_in_threads(run: Run, memory: Memory) -> None:
    failed: list[BaseException] = []
    together = threading.Barrier(4)

    async def main(number: int) -> None:
        thread = threading.get_ident()
        on: set[int] = set()
        async with callsheet.aio.connect(memory.url) as client:
            stop = client.on_change("billing", lambda snapshot: on.add(threading.get_ident()))
            together.wait(20)
            async with client.register("billing", 80 + number):
                await client.wait_for("billing", count=4, timeout=20)
                await soon(lambda: on)
                together.wait(20)
            assert on == {thread}
            await stop.close()

    def work(number: int) -> None:
        try:
            run(main(number))
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not failed


def test_a_client_belongs_to_the_loop_that_it_was_first_used_on(run: Run, memory: Memory) -> None:
    client = callsheet.aio.connect(memory.url)

    async def use() -> None:
        await client.lookup("billing")
        client.on_change("billing", lambda snapshot: None)

    async def misuse() -> None:
        calls = [
            client.lookup("billing"),
            client.register("billing", 80),
            client.watch("billing").__anext__(),
            client.ping(),
            client.close(),
        ]
        for call in calls:
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                await call
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            client.on_change("billing", lambda snapshot: None)

    run(use())
    run(misuse())
    with pytest.raises(RuntimeError, match="no running event loop"):
        client.on_change("billing", lambda snapshot: None)


def test_a_closed_loop(run: Run, memory: Memory) -> None:
    """The loop goes with everything open; changes go on, and nobody complains."""
    kept: list[object] = []
    before = descriptors()

    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        watch = client.watch("billing")
        await watch.__anext__()
        stop = client.on_change("billing", lambda snapshot: None)
        registration = await client.register("billing", 80, on_state=lambda state: None)
        reading = asyncio.ensure_future(watch.__anext__())
        await asyncio.sleep(0)
        kept.extend([client, watch, stop, registration, reading])

    run(main())
    for port in range(1, 11):
        memory.put(instance("billing", port))
    with callsheet.connect(memory.url) as other:
        other.wait_for("billing", count=10, timeout=20)
    eventually(lambda: threads() == 0)
    client = kept[0]
    assert isinstance(client, callsheet.aio.Client)
    client._close_and_wait()
    gone = weakref.ref(client)
    del client
    kept.clear()
    gc.collect()
    assert gone() is None
    assert descriptors() <= before + 8  # what the runtime keeps for good, if it was made here


def test_a_client_without_its_loop_goes(run: Run, memory: Memory) -> None:
    """Dropped in every way, it leaves no descriptor to the loop, and no thread."""

    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        await client.lookup("billing")
        before = descriptors()
        for _ in range(20):
            dropped = callsheet.aio.connect(memory.url)
            dropped.on_change("billing", lambda snapshot: None)
            read = asyncio.ensure_future(dropped.watch("nobody").__anext__())
            await read
            del dropped, read
        for _ in range(20):
            elsewhere = [callsheet.aio.connect(memory.url)]
            await elsewhere[0].lookup("billing")
            thread = threading.Thread(target=elsewhere.clear)
            thread.start()
            thread.join(20)
        gc.collect()
        await soon(lambda: descriptors() <= before)
        await soon(lambda: threads() <= 1)
        memory.put(instance("billing", 1))
        await client.wait_for("billing", timeout=20)

    run(main())
    eventually(lambda: threads() == 0)


def test_used_after_close(run: Run, memory: Memory) -> None:
    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        picker = await client.picker("billing")
        await client.close()
        for call in (client.lookup("billing"), client.services(), client.register("billing", 80)):
            with pytest.raises(callsheet.Closed):
                await call
        for at_once in (
            lambda: client.watch("billing"),
            client.watch_services,
            picker.pick,
            client.close_on_signals,
        ):
            with pytest.raises(callsheet.Closed):
                at_once()
        with pytest.raises(callsheet.Closed):
            client.on_change("billing", lambda snapshot: None)
        with pytest.raises(callsheet.Closed):
            await picker.pick(timeout=1)

    run(main())


def test_calls_under_way_when_the_client_is_closed(run: Run, memory: Memory) -> None:
    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        picker = await client.picker("nobody")
        registration = await client.register("billing", 80)
        waiting = [
            asyncio.ensure_future(call)
            for call in (
                client.wait_for("nobody"),
                registration.wait("lost"),
                picker.pick(timeout=1000),
            )
        ]
        await asyncio.sleep(0.01)
        await client.close()
        for ended in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(ended, callsheet.Closed)
        assert not client._waits._attached

    run(main())
