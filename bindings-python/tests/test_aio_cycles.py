"""`callsheet.aio`, ten thousand times open and close: memory, threads and descriptors stay flat."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import callsheet
import callsheet.aio
from callsheet.memory import Memory
from conftest import LOOPS, instance, run_on, soon
from test_aio_loop import descriptors
from test_cycles import ROUNDS, resident, threads


async def flat(one: Callable[[], Awaitable[object]], rounds: int = ROUNDS, warm: int = 1000) -> None:
    """Await `one` many times; what it leaves behind each time must be less than 200 bytes."""
    for _ in range(warm):
        await one()
    gc.collect()
    memory, count, opened = resident(), threads(), descriptors()
    for _ in range(rounds):
        await one()
    gc.collect()
    grown = resident() - memory
    assert grown < 200 * rounds + (1 << 20), f"{grown / rounds} bytes a round"
    await soon(lambda: threads() <= count + 2)
    assert descriptors() <= opened + 2
    assert len(asyncio.all_tasks()) == 1


def test_clients() -> None:
    async def one() -> None:
        async with callsheet.aio.connect("memory:") as client:
            await client.lookup("billing")

    run_on(LOOPS["asyncio"](), flat(one))


def test_clients_that_are_dropped() -> None:
    async def one() -> None:
        await callsheet.aio.connect("memory:").watch("billing").__anext__()

    run_on(LOOPS["asyncio"](), flat(one, 3000))


def test_clients_on_uvloop() -> None:
    async def one() -> None:
        async with callsheet.aio.connect("memory:") as client:
            await client.lookup("billing")

    run_on(LOOPS["uvloop"](), flat(one, 3000))


def test_clients_of_a_loop_without_descriptors() -> None:
    async def one() -> None:
        async with callsheet.aio.connect("memory:") as client:
            await client.lookup("billing")

    run_on(LOOPS["without descriptors"](), flat(one, 1000, 300))


def test_everything_of_a_client() -> None:
    async def slow(snapshot: callsheet.Snapshot) -> None:
        await asyncio.sleep(0)

    async def one() -> None:
        # A registry of its own, so that its history goes with it.
        async with callsheet.aio.connect("memory:") as client:
            await client.register("billing", 80, on_state=lambda state: None)
            client.on_change("billing", slow)
            await client.watch("billing").__anext__()
            (await client.picker("billing")).pick()

    run_on(LOOPS["asyncio"](), flat(one, 1000, 300))


def test_what_a_client_opens(memory: Memory) -> None:
    async def main() -> None:
        memory.put(instance("billing", 1))
        async with callsheet.aio.connect(memory.url) as client:
            picker = await client.picker("billing")

            async def one() -> None:
                async with client.watch("billing") as watch:
                    await watch.__anext__()
                called = asyncio.Event()
                async with client.on_change("billing", lambda snapshot: called.set()):
                    await called.wait()
                async with picker.pick(timeout=1):
                    pass
                waiting = asyncio.ensure_future(client.wait_for("nobody"))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait({waiting})

            await flat(one)
            await soon(lambda: client.stats()["subscribers"] == 1)
            assert not client._waits._woken.keys() - {
                client._callbacks._next and client._callbacks._next.number
            }

    run_on(LOOPS["asyncio"](), main())


def test_loops() -> None:
    """Each with a client that is left open when its loop is closed."""

    def one() -> None:
        async def main() -> None:
            client = callsheet.aio.connect("memory:")
            client.on_change("billing", lambda snapshot: None)
            await client.lookup("billing")

        asyncio.run(main())

    for _ in range(100):
        one()
    gc.collect()
    memory, count, opened = resident(), threads(), descriptors()
    for _ in range(500):
        one()
    gc.collect()
    assert resident() - memory < 500 * 500 + (1 << 20)
    assert threads() <= count + 2
    assert descriptors() <= opened + 2
