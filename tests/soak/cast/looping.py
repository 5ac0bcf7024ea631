"""As blocking.py, on an event loop: python -m soak.cast.looping URL."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import callsheet
from callsheet import aio

from .looping_caller import Caller
from .looping_provider import Provider
from .words import say

Command = dict[str, Any]


class Slot:
    """One registration after the other, and the task that does what is asked of it."""

    def __init__(self, client: aio.Client, name: str) -> None:
        self.client = client
        self.name = name
        self.registration: aio.Registration | None = None
        self.commands: asyncio.Queue[Command | None] = asyncio.Queue()
        self.task = asyncio.create_task(self.work())

    async def work(self) -> None:
        while (command := await self.commands.get()) is not None:
            await answer(command, self.obey)

    async def obey(self, command: Command) -> None:
        if command["do"] == "open":
            self.registration = await self.client.register(
                command["service"],
                command["port"],
                command["address"],
                command["id"],
                ttl=command["ttl"],
                metadata={"n": str(command["n"])},
                on_state=lambda state: say(slot=self.name, state=state),
            )
            return
        assert self.registration is not None
        if command["do"] == "update":
            await self.registration.update(metadata={"n": str(command["n"])})
        elif command["do"] == "drain":
            await self.registration.drain()
        else:
            try:
                await self.registration.close()
            except callsheet.Timeout:
                pass  # the registry could not be told; it goes with its TTL


async def answer(command: Command, obey: Callable[[Command], Awaitable[object]]) -> None:
    try:
        said = await obey(command)
    except Exception as error:
        say(did=command["number"], failed=f"{command['do']}: {error!r}")
    else:
        say(did=command["number"], **({} if said is None else {"stats": said}))


class Watchers:
    """The watch of each watcher, and the task that reads it."""

    def __init__(self, client: aio.Client) -> None:
        self.client = client
        self.watches: dict[str, tuple[aio.Watch, asyncio.Task[None]]] = {}

    async def open(self, command: Command) -> None:
        name = command["watcher"]
        if name in self.watches:
            watch, task = self.watches.pop(name)
            watch.close()
            await task
        watch = self.client.watch(command["service"], healthy=command["healthy"])
        self.watches[name] = (watch, asyncio.create_task(self.follow(name, watch)))

    async def follow(self, name: str, watch: aio.Watch) -> None:
        async for snapshot in watch:
            say(
                saw=name,
                revision=snapshot.revision,
                freshness=snapshot.freshness,
                instances=[f"{i.id} {i.metadata.get('n', '')} {i.status}" for i in snapshot],
            )


async def commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


async def main(url: str) -> None:
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.INFO)
    async with aio.connect(url) as client:
        slots: dict[str, Slot] = {}
        watchers = Watchers(client)
        others: list[Caller | Provider] = []

        async def stats(_: Command) -> object:
            return client.stats()

        async def call(command: Command) -> None:
            others.append(Caller(await client.picker(command["service"])))

        async def serve(command: Command) -> None:
            others.append(await Provider.start(client, command))

        async for line in await commands():
            command = json.loads(line)
            if command["do"] == "watch":
                await answer(command, watchers.open)
            elif command["do"] == "stats":
                await answer(command, stats)
            elif command["do"] == "call":
                await answer(command, call)
            elif command["do"] == "serve":
                await answer(command, serve)
            else:
                name = command["slot"]
                slots[name] = slots.get(name) or Slot(client, name)
                slots[name].commands.put_nowait(command)
        for other in others:
            await other.end()
        for slot in slots.values():
            slot.commands.put_nowait(None)
            await slot.task
    for _, task in watchers.watches.values():
        await task


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
