"""What the Python peers do alike: each is what a program writes that follows a service with a client of its registry,
and hopes for the best. Led by `bench.py`; runs in a venv of its own.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

#: The instance that changes while arrivals are noted.
CHANGED = "10.0.0.25:8080"

#: By what `CHANGED` names one of.
Instances = dict[str, dict[str, Any]]


class Client(Protocol):
    """Follows what is at a place: a prefix of etcd, a service of Consul."""

    def listed(self, place: str) -> Instances:
        """What is there."""

    def follow(self, place: str, changed: Callable[[Instances], None]) -> None:
        """Calls back with each change, for ever."""

    def id(self, instance: dict[str, Any]) -> str: ...

    def metadata(self, instance: dict[str, Any]) -> dict[str, str]: ...

    def close(self) -> None: ...


Connect = Callable[[], Client]


def say(*said: object) -> None:
    """Says a line."""
    print(*said, flush=True)


def arrive(connect: Connect, place: str) -> None:
    """Notes when each change was there, and says for each line what it noted since the last one."""
    noted: list[tuple[str, int]] = []
    first = threading.Event()
    client = connect()

    def changed(instances: Instances) -> None:
        at = time.monotonic_ns()
        noted.append((client.metadata(instances[CHANGED])["n"], at))
        first.set()

    threading.Thread(target=client.follow, args=(place, changed), daemon=True).start()
    first.wait()
    say("ready")
    while sys.stdin.readline():
        said = [f"{n}:{at}" for n, at in noted]
        del noted[: len(said)]
        say(*said)


def first(connect: Connect, place: str) -> None:
    """Says how long each way from nothing to the first list took."""
    while sys.stdin.readline():
        began = time.perf_counter()
        client = connect()
        read = sum(len(client.id(instance)) for instance in client.listed(place).values())
        say((time.perf_counter() - began) * 1e3, read)
        client.close()


def hold(connect: Connect, place: str) -> None:
    """What many instances weigh."""
    filled = threading.Event()
    held: Instances = {}
    client = connect()

    def changed(instances: Instances) -> None:
        nonlocal held
        held = instances
        filled.set()

    client.listed("nobody")
    gc.collect()
    say("empty")
    sys.stdin.readline()
    threading.Thread(target=client.follow, args=(place, changed), daemon=True).start()
    filled.wait()
    gc.collect()
    say(len(held))
    sys.stdin.readline()


def main(connect: Callable[[str], Client]) -> None:
    mode, endpoint, place = sys.argv[1:]
    {"arrive": arrive, "first": first, "hold": hold}[mode](lambda: connect(endpoint), place)
    # What follows has no end.
    os._exit(0)
