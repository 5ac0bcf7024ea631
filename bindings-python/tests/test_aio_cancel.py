"""`callsheet.aio`: every call that waits can be cancelled; the core gives up on it, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import callsheet
import callsheet.aio
from callsheet.memory import Memory
from conftest import Run, eventually, instance, run_script, soon

Client = callsheet.aio.Client


async def registering(client: Client) -> None:
    await client.register("billing", 80)


async def registering_in_a_block(client: Client) -> None:
    async with client.register("billing", 80):
        pass


async def following(client: Client) -> None:
    async for _ in client.watch("nobody"):
        pass


async def following_names(client: Client) -> None:
    async for _ in client.watch_services():
        pass


async def waiting_for_a_state(client: Client) -> None:
    registration = await client.register("billing", 80, ready=False)
    try:
        await registration.wait("registered")
    finally:
        await registration.close()


async def getting_ready(client: Client) -> None:
    registration = await client.register("billing", 80, ready=False)
    try:
        await registration.ready()
    finally:
        await registration.close()


async def picking(client: Client) -> None:
    picker = await client.picker("nobody")
    await picker.pick(timeout=1000)


async def picking_in_a_block(client: Client) -> None:
    picker = await client.picker("nobody")
    async with picker.pick(timeout=1000):
        pass


async def calling(client: Client) -> None:
    picker = await client.picker("nobody")

    async def call(pick: callsheet.Pick) -> None:
        raise AssertionError

    await picker.call(call)


def slow(memory: Memory) -> None:
    memory.slow(0.5)


def away(memory: Memory) -> None:
    memory.unreachable()


def well(memory: Memory) -> None:
    pass


#: What waits, and how the registry has to be for that.
WAITS: dict[str, tuple[Callable[[Client], Awaitable[object]], Callable[[Memory], None]]] = {
    "register": (registering, slow),
    "async with register": (registering_in_a_block, slow),
    "lookup": (lambda client: client.lookup("slow"), slow),
    "services": (lambda client: client.services(), slow),
    "ping": (lambda client: client.ping(), slow),
    "picker": (lambda client: client.picker("slow"), slow),
    "wait_for": (lambda client: client.wait_for("nobody"), well),
    "watch": (following, well),
    "watch_services": (following_names, well),
    "wait": (waiting_for_a_state, well),
    "ready": (getting_ready, away),
    "pick": (picking, well),
    "async with pick": (picking_in_a_block, well),
    "call": (calling, well),
}


@pytest.mark.parametrize("name", WAITS)
def test_cancelling(run: Run, memory: Memory, name: str) -> None:
    wait, trouble = WAITS[name]

    async def main() -> None:
        async with callsheet.aio.connect(memory.url, timeout=1000) as client:
            trouble(memory)
            for turns in range(5):
                task = asyncio.ensure_future(wait(client))
                for _ in range(turns):
                    await asyncio.sleep(0.001)
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(wait(client), 0.01)
            memory.slow(0)
            memory.unreachable(False)
            await soon(lambda: client.stats()["registrations"] == 0)
            await soon(lambda: client.stats()["subscribers"] == 0)
            assert not client._waits._woken
            # And it works as if nothing had been.
            async with client.register("billing", 80):
                assert len(await client.wait_for("billing", timeout=20)) == 1

    run(main())


def test_an_answer_that_comes_with_the_cancellation_is_undone(run: Run, memory: Memory) -> None:
    """Registered in the core, but nobody is left to hold it: it is withdrawn."""

    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            undone = 0
            while undone < 50:
                task = asyncio.ensure_future(registering(client))
                await asyncio.sleep(0)
                if task.done():  # answered before it could be waited for
                    await client.deregister("127.0.0.1:80")
                    continue
                undone += 1
                # The answer comes while the loop looks away, and the task is cancelled in the turn that brings it.
                eventually(lambda: client.stats()["registered"])
                client._waits.look()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await soon(lambda: client.stats()["registrations"] == 0)

    run(main())


def test_a_snapshot_is_not_lost_to_a_cancelled_read(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            watch = client.watch("billing")
            await watch.__anext__()
            for port in range(1, 51):
                task = asyncio.ensure_future(watch.__anext__())
                await asyncio.sleep(0)
                memory.put(instance("billing", port))
                await asyncio.sleep(0)
                if task.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    assert len(await watch.__anext__()) == port
                else:
                    assert len(await task) == port

    run(main())


def test_closing_goes_on_when_it_is_cancelled(run: Run, memory: Memory) -> None:
    async def main() -> None:
        client = callsheet.aio.connect(memory.url, drain=0.5)
        registration = await client.register("billing", 80)
        other = await client.register("billing", 81)
        for close in (registration.close, client.close):
            task = asyncio.ensure_future(close())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await soon(lambda: registration.state == other.state == "closed")
        with pytest.raises(callsheet.Closed):
            await client.lookup("billing")
        await client.close()

    run(main())


def test_a_cancelled_call_says_nothing_about_the_instance(run: Run, memory: Memory) -> None:
    async def main() -> None:
        memory.put(instance("billing", 1))
        picks: list[callsheet.Pick] = []

        async def hanging(pick: callsheet.Pick) -> None:
            picks.append(pick)
            await asyncio.Event().wait()

        async with callsheet.aio.connect(memory.url) as client:
            picker = await client.picker("billing")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(picker.call(hanging, attempts=5), 0.05)
            assert len(picks) == 1
            assert "done" in repr(picks[0])

    run(main())


def test_asyncio_timeout() -> None:
    ran = run_script("""
import asyncio, sys, callsheet.aio
if sys.version_info < (3, 11):  # which has no asyncio.timeout
    sys.exit()
async def main():
    async with callsheet.aio.connect("memory:") as client:
        try:
            async with asyncio.timeout(0.05):
                await client.wait_for("nobody")
        except TimeoutError as error:
            assert not isinstance(error, callsheet.Error)
        else:
            raise AssertionError
        while client.stats()["subscribers"]:
            await asyncio.sleep(0.001)
asyncio.run(main())
""")
    assert (ran.returncode, ran.stderr) == (0, "")
