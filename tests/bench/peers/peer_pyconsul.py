"""py-consul: it asks for what changed after the last index, and gets the whole list of those that pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import consul
import peer
from peer import Instances


class Client:
    """With a connection of its own."""

    def __init__(self, endpoint: str) -> None:
        host, _, port = endpoint.rpartition(":")
        # The type checker takes it for the folder of tests of that name.
        self._client = consul.Consul(host=host, port=int(port))  # type: ignore[attr-defined]

    def listed(self, place: str) -> Instances:
        instances, _ = self._read(place, None)
        return instances

    def follow(self, place: str, changed: Callable[[Instances], None]) -> None:
        index = None
        while True:
            instances, index = self._read(place, index)
            changed(instances)

    def id(self, instance: dict[str, Any]) -> str:
        return str(instance["Service"]["ID"])

    def metadata(self, instance: dict[str, Any]) -> dict[str, str]:
        return dict(instance["Service"]["Meta"])

    def close(self) -> None:
        self._client.http.session.close()

    def _read(self, service: str, after: str | None) -> tuple[Instances, str]:
        """What is there, by host:port, once it is newer than an index, and its own."""
        index, entries = self._client.health.service(service, index=after, passing=True)
        services = ((entry["Service"], entry) for entry in entries)
        return {f"{service['Address']}:{service['Port']}": entry for service, entry in services}, index


if __name__ == "__main__":
    peer.main(Client)
