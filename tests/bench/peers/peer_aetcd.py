"""aetcd: it reads a prefix, watches from there on, decodes and keeps a dict."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aetcd  # type: ignore[import-not-found]
import peer
from peer import Instances


class Client:
    """One that takes answers of any size, and a loop for it."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.rpartition(":")
        self._loop = asyncio.new_event_loop()
        options = {"grpc.max_receive_message_length": -1}
        self._client = aetcd.Client(host=host, port=int(port), options=options)

    def listed(self, place: str) -> Instances:
        instances, _ = self._loop.run_until_complete(self._read(place))
        return instances

    def follow(self, place: str, changed: Callable[[Instances], None]) -> None:
        self._loop.run_until_complete(self._follow(place, changed))

    def id(self, instance: dict[str, Any]) -> str:
        return str(instance["id"])

    def metadata(self, instance: dict[str, Any]) -> dict[str, str]:
        return dict(instance["metadata"])

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()

    async def _read(self, prefix: str) -> tuple[Instances, int]:
        """What is there, by what follows the prefix, and as of when."""
        answer = await self._client.get_prefix(prefix.encode())
        instances = {kv.key.decode().removeprefix(prefix): json.loads(kv.value) for kv in answer}
        return instances, answer.header.revision

    async def _follow(self, prefix: str, changed: Callable[[Instances], None]) -> None:
        instances, revision = await self._read(prefix)
        changed(instances)
        async for event in await self._client.watch_prefix(prefix.encode(), start_revision=revision + 1):
            name = event.kv.key.decode().removeprefix(prefix)
            if event.kind == aetcd.rtypes.EventKind.DELETE:
                instances.pop(name, None)
            else:
                instances[name] = json.loads(event.kv.value)
            changed(instances)


if __name__ == "__main__":
    peer.main(Client)
