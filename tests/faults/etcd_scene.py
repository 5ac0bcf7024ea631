"""A scene on etcd: what other tools write there, and what has to hold of keys, leases and streams."""

from __future__ import annotations

import json
from typing import Any

import callsheet
import etcd_invariants
from scene import Scene
from servers import Cluster, Entry


class EtcdScene(Scene):
    """Takes what `Scene` takes."""

    def __init__(self, etcd: Cluster, **options: Any) -> None:
        self.etcd = etcd
        self.prefix = "/services/"
        # Keys that the test itself has put there: instances, and what is none.
        self.placed: set[str] = set()
        self.garbage: set[str] = set()
        super().__init__(etcd, **options)

    def key(self, registration: callsheet.Registration) -> str:
        return f"{self.prefix}{registration.instance.service}/{registration.id}"

    def put(self, service: str, *ids: str, lease: int = 0) -> int:
        """Instances that another tool keeps there, in one transaction; its revision."""
        puts = {f"{self.prefix}{service}/{each}": foreign_value(service, each) for each in ids}
        self.placed |= puts.keys()
        return self.etcd.store.transaction(puts, lease=lease)

    def remove(self, service: str, *ids: str) -> int:
        keys = [f"{self.prefix}{service}/{each}" for each in ids]
        self.placed -= set(keys)
        return self.etcd.store.transaction({}, keys)

    def put_garbage(self, values: dict[str, bytes]) -> int:
        """Under keys that follow the prefix: values that are no instance."""
        puts = {self.prefix + key: value for key, value in values.items()}
        self.garbage |= puts.keys()
        return self.etcd.store.transaction(puts)

    def place(self, service: str, id: str, port: int) -> None:
        key = f"{self.prefix}{service}/{id}"
        self.placed.add(key)
        self.etcd.store.put(key, foreign_value(service, id, port))

    def stored(self, registration: callsheet.Registration) -> Entry | None:
        return self.etcd.store.get(self.key(registration))

    def wrong_at_work(self) -> list[str]:
        return etcd_invariants.at_work(self)

    def not_withdrawn(self) -> list[str]:
        return etcd_invariants.not_withdrawn(self)

    def still_served(self) -> list[str]:
        return etcd_invariants.still_served(self.etcd)

    def __enter__(self) -> EtcdScene:
        return self


def foreign_value(service: str, id: str, port: int = 9) -> str:
    """An instance as another tool would write it: without the owner's stamp."""
    return json.dumps({"id": id, "service": service, "address": "127.0.0.1", "port": port})
