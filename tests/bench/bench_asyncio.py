"""The process in asyncio that `bench.py` follows, weighs and counts."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable

import callsheet
import callsheet.aio

#: The instance that changes while arrivals are noted.
CHANGED = "10.0.0.25:8080"


def say(*said: object) -> None:
    """Says a line, whole although another thread may say one too."""
    sys.stdout.write(" ".join(map(str, said)) + "\n")
    sys.stdout.flush()


def step(*said: object) -> None:
    """Says that something is done, and waits, and the loop with it, until the other process has looked."""
    say(*said)
    sys.stdin.readline()


async def follow(client: callsheet.aio.Client, service: str) -> None:
    """Says when each change was there."""

    def changed(snapshot: callsheet.Snapshot) -> None:
        at = time.monotonic_ns()
        for instance in snapshot:
            say(at, instance.metadata.get("n"))

    await client.wait_for(service, timeout=10)
    client.on_change(service, changed)
    # Elsewhere, since the loop has callbacks to call.
    await asyncio.to_thread(step, "ready")


async def hold(client: callsheet.aio.Client, service: str) -> None:
    """What many instances weigh, and what a change of one makes anew."""
    await client.lookup("nobody")
    gc.collect()
    step("empty")
    held = list(await client.lookup(service))
    gc.collect()
    step(len(held))
    watch = client.watch(service)
    before = list(await anext(watch))
    say("watching")
    fresh = 0
    while not fresh:
        fresh = sum(new is not old for new, old in zip(await anext(watch), before, strict=True))
    step(fresh)


async def watches(client: callsheet.aio.Client) -> None:
    """Many services followed at once."""
    await client.lookup("nobody")
    step("before")
    opened = [client.watch(f"service-{number}") for number in range(300)]
    for watch in opened:
        await anext(watch)
    step("after")


async def arrive(client: callsheet.aio.Client, service: str) -> None:
    """Notes when each change was there, and says for each line what it noted since the last one."""
    noted: list[tuple[str, int]] = []
    first = asyncio.Event()

    def changed(snapshot: callsheet.Snapshot) -> None:
        at = time.monotonic_ns()
        if instance := snapshot.get(CHANGED):
            noted.append((instance.metadata["n"], at))
        first.set()

    client.on_change(service, changed)
    await first.wait()
    say("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        said = [f"{n}:{at}" for n, at in noted]
        noted.clear()
        say(*said)


async def first(url: str, service: str) -> None:
    """Says how long each way from nothing to the first list took."""
    while await asyncio.to_thread(sys.stdin.readline):
        began = time.perf_counter()
        async with callsheet.aio.connect(url) as client:
            read = sum(len(instance.id) for instance in await client.lookup(service))
            say((time.perf_counter() - began) * 1e3, read)


MODES: dict[str, Callable[..., Awaitable[None]]] = {
    "follow": follow,
    "hold": hold,
    "watches": watches,
    "arrive": arrive,
}


async def main(mode: str, url: str, *service: str) -> None:
    if mode == "first":
        await first(url, *service)
        return
    async with callsheet.aio.connect(url) as client:
        await MODES[mode](client, *service)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
