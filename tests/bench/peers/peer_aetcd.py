"""aetcd, beside which `etcd.py` prints callsheet in Python: what a program writes that follows a service with it, and
hopes for the best. It reads a prefix, watches from there on, decodes and keeps a dict. Runs in a venv of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import aetcd  # type: ignore[import-not-found]

#: The instance that changes while arrivals are noted.
CHANGED = "10.0.0.25:8080"

Instances = dict[str, dict[str, Any]]


def say(*said: object) -> None:
    """Says a line."""
    print(*said, flush=True)


async def line() -> bool:
    """Waits for the next line of the input, elsewhere than on the loop, and says whether there was one."""
    return bool(await asyncio.to_thread(sys.stdin.readline))


def connect(endpoint: str) -> Any:
    """A client that takes answers of any size."""
    host, _, port = endpoint.rpartition(":")
    return aetcd.Client(host=host, port=int(port), options={"grpc.max_receive_message_length": -1})


async def listed(client: Any, prefix: str) -> tuple[Instances, int]:
    """What is there, by what follows the prefix, and as of when."""
    answer = await client.get_prefix(prefix.encode())
    instances = {kv.key.decode().removeprefix(prefix): json.loads(kv.value) for kv in answer}
    return instances, answer.header.revision


async def follow(client: Any, prefix: str, changed: Callable[[Instances], None]) -> None:
    """Calls back with each change that is in the dict."""
    instances, revision = await listed(client, prefix)
    changed(instances)
    async for event in await client.watch_prefix(prefix.encode(), start_revision=revision + 1):
        name = event.kv.key.decode().removeprefix(prefix)
        if event.kind == aetcd.rtypes.EventKind.DELETE:
            instances.pop(name, None)
        else:
            instances[name] = json.loads(event.kv.value)
        changed(instances)


async def arrive(endpoint: str, prefix: str) -> None:
    """Notes when each change was there, and says for each line what it noted since the last one."""
    noted: list[tuple[str, int]] = []
    first = asyncio.Event()

    def changed(instances: Instances) -> None:
        at = time.monotonic_ns()
        noted.append((instances[CHANGED]["metadata"]["n"], at))
        first.set()

    async with connect(endpoint) as client:
        following = asyncio.create_task(follow(client, prefix, changed))
        await first.wait()
        say("ready")
        while await line():
            said = [f"{n}:{at}" for n, at in noted]
            noted.clear()
            say(*said)
        following.cancel()


async def first(endpoint: str, prefix: str) -> None:
    """Says how long each way from nothing to the first list took."""
    while await line():
        began = time.perf_counter()
        async with connect(endpoint) as client:
            instances, _ = await listed(client, prefix)
            read = sum(len(instance["id"]) for instance in instances.values())
            say((time.perf_counter() - began) * 1e3, read)


async def hold(endpoint: str, prefix: str) -> None:
    """What many instances weigh."""
    filled = asyncio.Event()
    held: Instances = {}

    def changed(instances: Instances) -> None:
        nonlocal held
        held = instances
        filled.set()

    async with connect(endpoint) as client:
        await listed(client, "/nobody/")
        gc.collect()
        say("empty")
        await line()
        following = asyncio.create_task(follow(client, prefix, changed))
        await filled.wait()
        gc.collect()
        say(len(held))
        await line()
        following.cancel()


if __name__ == "__main__":
    mode, *where = sys.argv[1:]
    asyncio.run({"arrive": arrive, "first": first, "hold": hold}[mode](*where))
