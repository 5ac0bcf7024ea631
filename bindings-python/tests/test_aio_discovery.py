"""`callsheet.aio`: find, follow, pick and call, on each kind of loop."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

import callsheet
import callsheet.aio
from callsheet.memory import Memory
from conftest import Run, instance


def test_lookup_and_filters(run: Run, memory: Memory) -> None:
    async def main() -> None:
        memory.put(instance("billing", 1, tags=["v2"], zone="a", metadata={"team": "pay"}, version="1"))
        memory.put(instance("billing", 2, status="critical"))
        async with callsheet.aio.connect(memory.url) as client:
            found = await client.lookup("billing")
            assert isinstance(found, callsheet.Snapshot)
            assert [i.port for i in found] == [1]
            assert len(await client.lookup("billing", healthy=False)) == 2
            match = await client.lookup(
                "billing", tags=["v2"], zone="a", metadata={"team": "pay"}, version="1"
            )
            assert len(match) == 1
            assert not await client.lookup("billing", tags=["v3"])
            assert not await client.lookup("nobody")
            assert await client.lookup("billing") is await client.lookup("billing")
        assert client.closed

    run(main())


def test_snapshots_are_those_of_the_synchronous_package(run: Run, memory: Memory) -> None:
    async def main() -> None:
        memory.put(instance("billing", 1))
        memory.put(instance("billing", 2))
        async with callsheet.aio.connect(memory.url) as client:
            watch = client.watch("billing")
            first = await watch.__anext__()
            assert first is await client.lookup("billing")
            objects = list(first)
            memory.put(instance("billing", 3))
            second = await watch.__anext__()
            assert [one is other for one, other in zip(objects, second, strict=False)] == [True, True]
            assert [i.port for i in second.changes_since(first).added] == [3]

    run(main())


def test_a_watch_yields_the_present_then_each_change(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            counts = []
            async for snapshot in client.watch("billing"):
                counts.append(len(snapshot))
                if len(counts) == 5:
                    break
                memory.put(instance("billing", len(counts)))
            assert counts == [0, 1, 2, 3, 4]

    run(main())


def test_a_watch_ends_when_it_or_the_client_is_closed(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async def follow(watch: callsheet.aio.Watch) -> int:
            return len([snapshot async for snapshot in watch])

        async with callsheet.aio.connect(memory.url) as client:
            one, other = client.watch("billing"), client.watch("billing")
            # More readers than one of a watch are fine.
            tasks = [asyncio.create_task(follow(watch)) for watch in (one, one, other)]
            await client.lookup("billing")
            assert not one.closed
            await one.aclose()
            assert sum(await asyncio.gather(*tasks[:2])) <= 1
            assert one.closed
            assert not other.closed
        await tasks[2]
        with pytest.raises(StopAsyncIteration):
            await other.__anext__()

        async with callsheet.aio.connect(memory.url) as client:
            async with aclosing(client.watch("billing")) as watch:
                await watch.__anext__()
            assert watch.closed
            async with client.watch("billing") as watch:
                assert "open" in repr(watch)
            assert watch.closed

    run(main())


def test_a_slow_reader_sees_the_latest_only(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            watch = client.watch("billing")
            await watch.__anext__()
            for weight in range(1, 51):
                memory.put(instance("billing", 1, weight=weight))
            while (await client.lookup("billing")).get("10.0.0.1:1") != instance("billing", 1, weight=50):
                await asyncio.sleep(0)
            latest = await watch.__anext__()
            assert latest[0].weight == 50
            assert watch.skipped > 0

    run(main())


def test_names(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            assert await client.services() == []
            async with client.watch_services() as names:
                assert await names.__anext__() == []
                memory.put(instance("billing", 1))
                assert await names.__anext__() == ["billing"]
            assert await client.services() == ["billing"]
            assert [name async for name in names] == []

    run(main())


def test_wait_for(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            waiting = asyncio.create_task(client.wait_for("billing", count=2, timeout=20))
            memory.put(instance("billing", 1))
            memory.put(instance("billing", 2))
            assert len(await waiting) == 2
            with pytest.raises(callsheet.Timeout) as late:
                await client.wait_for("nobody", timeout=0.01)
            assert isinstance(late.value, TimeoutError)

    run(main())


def test_picks(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            picker = await client.picker("billing", policy="round_robin")
            assert (picker.service, picker.policy, len(picker)) == ("billing", "round_robin", 0)
            with pytest.raises(callsheet.NoInstances):
                picker.pick()
            with pytest.raises(callsheet.NoInstances):
                await picker.pick(timeout=0.01)
            waiting = asyncio.create_task(picker.pick(timeout=20))
            await asyncio.sleep(0)
            memory.put(instance("billing", 1))
            assert isinstance(await waiting, callsheet.Pick)
            with picker.pick() as pick:
                assert pick.url == "http://10.0.0.1:1"
            assert "done" in repr(pick)
            async with picker.pick() as pick:
                assert "under way" in repr(pick)
            assert "done" in repr(pick)
            async with picker.pick(timeout=1) as pick:
                assert "under way" in repr(pick)
            assert "done" in repr(pick)
            with pytest.raises(ZeroDivisionError):
                async with picker.pick() as pick:
                    print(1 / 0)
            assert "done" in repr(pick)

    run(main())


def test_call_tries_another_instance(run: Run, memory: Memory) -> None:
    async def main() -> None:
        memory.put(instance("billing", 1))
        memory.put(instance("billing", 2))
        tried: list[int] = []

        async def refused_once(pick: callsheet.Pick) -> str:
            tried.append(pick.port)
            await asyncio.sleep(0)
            if len(tried) == 1:
                raise ConnectionRefusedError("on purpose")
            return pick.id

        async def failing(pick: callsheet.Pick) -> None:
            tried.append(pick.port)
            raise ValueError("on purpose")

        async with callsheet.aio.connect(memory.url) as client:
            picker = await client.picker("billing")
            assert await picker.call(refused_once, attempts=2) in {"10.0.0.1:1", "10.0.0.1:2"}
            assert sorted(tried) == [1, 2]
            tried.clear()
            with pytest.raises(ConnectionRefusedError):
                await picker.call(refused_once)
            tried.clear()
            with pytest.raises(ValueError, match="on purpose"):
                await picker.call(failing, attempts=3)
            assert len(tried) == 1
            with pytest.raises(ValueError, match="on purpose"):
                await picker.call(failing, attempts=3, retry_on=ValueError)
            assert len(tried) == 4

    run(main())


def test_a_name_with_several_addresses_that_all_refuse(run: Run, memory: Memory) -> None:
    async def main() -> None:
        memory.put(instance("billing", 1))
        memory.put(instance("billing", 2))
        tried: list[int] = []

        async def connect(pick: callsheet.Pick) -> None:
            tried.append(pick.port)
            raise OSError(
                "Multiple exceptions: [Errno 111] refused ('::1', 1), [Errno 111] refused ('127.0.0.1', 1)"
            )

        async with callsheet.aio.connect(memory.url) as client:
            picker = await client.picker("billing")
            with pytest.raises(OSError, match="Multiple"):
                await picker.call(connect, attempts=2)
            assert len(tried) == 2

    run(main())


def test_ping_and_stats(run: Run, memory: Memory) -> None:
    async def main() -> None:
        client = callsheet.aio.connect(memory.url)
        await client.ping()
        memory.unreachable()
        with pytest.raises(callsheet.Unavailable):
            await client.ping()
        await client.close()
        await client.close()
        with pytest.raises(callsheet.Closed):
            await client.ping()
        assert client.stats()["registry"] == client.source == client.url == memory.url
        assert repr(client) == f"<Client {memory.url} closed>"

    run(main())


def test_wrong_arguments(run: Run, memory: Memory) -> None:
    with pytest.raises(callsheet.Config):
        callsheet.aio.connect("nothing://like-it")

    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            # Iterators and callbacks refuse at once ...
            with pytest.raises(callsheet.InvalidArgument):
                client.watch("not a name!")
            with pytest.raises(callsheet.InvalidArgument):
                client.on_change("not a name!", print)
            with pytest.raises(TypeError, match="callable"):
                client.on_change("billing", 5)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="tagz"):
                client.watch("billing", tagz=["x"])  # type: ignore[call-arg]
            # ... and coroutines when they are awaited.
            wrong = [
                client.lookup("not a name!"),
                client.wait_for("billing", count=-1),
                client.picker("billing", policy="best"),  # type: ignore[arg-type]
                client.register("billing", 0),
                client.register("billing", 80, metadata={"key": "x" * 1_000_000}),
                client.register("billing", 80, tags=["\udcff"]),
                client.deregister("a\udcffb"),
            ]
            for call in wrong:
                with pytest.raises(callsheet.InvalidArgument):
                    await call
            with pytest.raises(TypeError, match="unexpected keyword argument 'tagz'"):
                await client.register("billing", 80, tagz=[])  # type: ignore[call-arg]
            with pytest.raises(TypeError, match="on_state"):
                await client.register("billing", 80, on_state=5)  # type: ignore[arg-type]
            with pytest.raises(callsheet.NotFound):
                await client.deregister("nobody")
            assert client.stats()["registrations"] == 0

    run(main())


def test_opening_is_a_coroutine(run: Run, memory: Memory) -> None:
    async def main() -> None:
        async with callsheet.aio.connect(memory.url) as client:
            task = asyncio.create_task(client.register("billing", 80))
            assert (await task).state == "registered"
            client.register("billing", 81).close()
            assert client.stats()["registrations"] == 1

    run(main())


def test_options_and_keys_of_pickers(run: Run, memory: Memory) -> None:
    async def called(pick: callsheet.Pick) -> str:
        return pick.id

    async def main() -> None:
        for port, zone in ((1, "a"), (2, "a"), (3, "b")):
            memory.put(instance("billing", port, zone=zone))
        async with callsheet.aio.connect(memory.url) as client:
            near = await client.picker(
                "billing", "round_robin", prefer_zone="a", ejection=callsheet.Ejection()
            )
            assert {near.pick().port for _ in range(10)} == {1, 2}
            picker = await client.picker("billing", "maglev", subset=3, zone="a", ejection=False)
            home = picker.pick(key="a").id
            async with picker.pick(timeout=1, key=b"a") as pick:
                assert pick.id == home
            assert await picker.call(called, key="a") == home
            assert (len(picker), picker.ejected) == (2, [])
            with pytest.raises(callsheet.InvalidArgument, match="subset 0"):
                await client.picker("billing", subset=0)

    run(main())
