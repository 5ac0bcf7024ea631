"""Ten thousand times open and close: memory and threads stay flat."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually, instance

ROUNDS = 10_000


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def flat(one: Callable[[], object], rounds: int = ROUNDS, warm: int = 1000) -> None:
    """Run `one` many times; what it leaves behind each time must be less than 200 bytes."""
    for _ in range(warm):
        one()
    gc.collect()
    memory, count = resident(), threads()
    for _ in range(rounds):
        one()
    gc.collect()
    grown = resident() - memory
    assert grown < 200 * rounds + (1 << 20), f"{grown / rounds} bytes a round"
    eventually(lambda: threads() <= count + 2)


def test_clients() -> None:
    def one() -> None:
        with callsheet.connect("memory:") as client:
            client.lookup("billing")

    flat(one)


def test_clients_that_are_dropped() -> None:
    flat(lambda: callsheet.connect("memory:").watch("billing"), 3000)


def test_everything_of_a_client() -> None:
    def one() -> None:
        # A registry of its own, so that its history goes with it.
        with callsheet.connect("memory:") as client:
            client.register("billing", 80, on_state=lambda state: None)
            client.on_change("billing", lambda snapshot: None)
            next(client.watch("billing"))
            client.picker("billing").pick()

    flat(one, 1000, 300)


def test_watches(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1))

    def one() -> None:
        with client.watch("billing") as watch:
            next(watch)

    flat(one)


def test_subscriptions(client: callsheet.Client) -> None:
    called = threading.Semaphore(0)

    def one() -> None:
        stop = client.on_change("billing", lambda snapshot: called.release())
        called.acquire(timeout=10)
        stop()

    flat(one)
    assert client.stats()["subscribers"] == 0


def test_registrations(client: callsheet.Client) -> None:
    def one() -> None:
        with client.register("billing", 80):
            pass

    # Warm is when the history that the registry in memory keeps for watches is full.
    flat(one, 3000, 2500)


def test_picks_and_snapshots(client: callsheet.Client, memory: Memory) -> None:
    memory.put(instance("billing", 1))
    picker = client.picker("billing")

    def one() -> None:
        with picker.pick() as pick:
            assert pick.url
        client.lookup("billing").changes_since(client.lookup("billing", healthy=False))
        assert pick.instance.metadata == {}

    flat(one)


def test_changing_snapshots(client: callsheet.Client, memory: Memory) -> None:
    weight = 0

    def one() -> None:
        nonlocal weight
        weight = weight % 1000 + 1
        memory.put(instance("billing", 1, weight=weight))
        for found in client.lookup("billing"):
            assert found.tags == ()

    flat(one, warm=5000)


def test_errors(client: callsheet.Client) -> None:
    picker = client.picker("billing")

    def one() -> None:
        with pytest.raises(callsheet.NoInstances):
            picker.pick()
        with pytest.raises(callsheet.InvalidArgument):
            client.register("billing", 0)

    flat(one)
