"""As blocking_provider.py, on an event loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import callsheet
from callsheet import aio

from .words import say


class Provider:
    def __init__(self, id: str, registration: aio.Registration, server: asyncio.Server) -> None:
        self.id = id
        self.registration = registration
        self.server = server

    @classmethod
    async def start(cls, client: aio.Client, command: dict[str, Any]) -> Provider:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{command['id']}\n".encode())
            writer.close()

        registration = await client.register(
            command["service"],
            command["port"],
            command["address"],
            command["id"],
            ttl=command["ttl"],
            metadata={"n": str(command["n"])},
            wait_for_port=True,
            drain=0.5,
            on_state=lambda state: say(slot=command["slot"], state=state),
        )
        server = await asyncio.start_server(answer, command["address"], command["port"])
        say(listens=command["id"], at=time.time())
        return cls(command["id"], registration, server)

    async def end(self) -> None:
        try:
            await self.registration.close()
        except callsheet.Timeout:
            pass  # the registry could not be told; it goes with its TTL
        say(leaves=self.id, at=time.time())
        self.server.close()
