"""`callsheet.aio`: a registration's life, awaited."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

import callsheet
import callsheet.aio
from callsheet.memory import Memory
from conftest import LOOPS, Run, run_on, soon


def test_await_and_async_with(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            registration = await client.register("billing", 80)
            assert isinstance(registration, callsheet.aio.Registration)
            assert registration.state == "registered"
            assert registration.last_error is None
            assert registration.instance in await client.lookup("billing")
            assert repr(registration) == f"<Registration billing {registration.id} registered>"
            with pytest.raises(callsheet.Conflict):
                await client.register("billing", 80)
            async with client.register("billing", 81, "10.0.0.7", "mine", tags=["v2"], zone="a") as other:
                assert other.id == "mine"
                assert other.instance.tags == ("v2",)
                await client.wait_for("billing", count=2)
            assert other.state == "closed"
            async with registration:
                pass
            await client.wait_for("billing", count=0)
            assert not await client.lookup("billing")

    run(main())


def test_leaving_the_client_withdraws(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as observer:
            async with callsheet.aio.connect(memory.url) as client:
                await client.register("billing", 80)
                await observer.wait_for("billing", timeout=20)
            async for snapshot in observer.watch("billing"):
                if not snapshot:
                    break

    run(main())


def test_ready_wait_update_status_beat_drain(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            check = callsheet.heartbeat(60)
            registration = await client.register("billing", 80, ready=False, check=check)
            assert registration.state == "pending"
            with pytest.raises(callsheet.Timeout):
                await registration.wait("registered", timeout=0.01)
            await registration.ready(20)
            await registration.wait("registered")
            registration.beat()
            await registration.update(metadata={"a": "b"}, weight=7)
            (found,) = await client.wait_for("billing", timeout=20)
            assert (dict(found.metadata), found.weight) == ({"a": "b"}, 7)
            with pytest.raises(callsheet.InvalidArgument):
                await registration.update(weight=0)
            await registration.set_status("warning", "why")
            assert not await client.lookup("billing")
            await registration.set_status("passing")
            await registration.drain()
            assert [i.status for i in await client.lookup("billing", healthy=False)] == ["draining"]
            assert client.registration(registration.id).id == registration.id
            await client.deregister(registration.id)
            with pytest.raises(callsheet.Closed):
                registration.beat()
            with pytest.raises(callsheet.Closed):
                await registration.drain()
            with pytest.raises(callsheet.NotFound):
                client.registration(registration.id)

    run(main())


def test_on_state_hears_of_every_state_and_the_end(run: Run, memory: Memory) -> None:
    async def main() -> None:
        plain: list[str] = []
        slow: list[str] = []

        async def on_state(state: callsheet.State) -> None:
            await asyncio.sleep(0.001)
            slow.append(state)

        async with callsheet.aio.connect(memory.url, ttl=1) as client:
            registration = await client.register("billing", 80, on_state=plain.append)
            await client.register("billing", 81, on_state=on_state)
            await soon(lambda: plain and slow)
            memory.unreachable()
            memory.lose_leases()
            await registration.wait("lost", 20)
            memory.unreachable(False)
            await registration.wait("registered", 20)
            await registration.close()
            assert plain[-1] == "closed"
            assert "lost" in plain
        assert slow[-1] == "closed"

    run(main())


def test_the_registry_may_be_away(run: Run, memory: Memory) -> None:
    async def main() -> None:
        memory.unreachable()
        async with callsheet.aio.connect(memory.url) as client:
            registration = await client.register("billing", 80)
            assert isinstance(registration.last_error, callsheet.Unavailable)
            memory.unreachable(False)
            await registration.wait("registered", 20)

    run(main())


def test_close_never_blocks_the_loop(memory: Memory) -> None:
    """A registry that is away: the close waits out its bound, and the loop ticks on."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)

    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        registration = await client.register("billing", 80)
        memory.unreachable()
        ticking = asyncio.create_task(tick())
        began = time.monotonic()
        with pytest.raises(callsheet.Timeout):
            await registration.close()
        assert 4 < time.monotonic() - began < 25
        await client.close()
        ticking.cancel()
        gaps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
        assert len(ticks) > 100
        assert max(gaps) < 1.0

    run_on(LOOPS["asyncio"](), main())


def test_two_close_at_once(run: Run, memory: Memory) -> None:
    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        registration = await client.register("billing", 80)
        await asyncio.gather(client.close(), registration.close(), client.close(), registration.close())
        assert registration.state == "closed"

    run(main())
