"""Every blocking call leaves the GIL to others, and ends when Ctrl-C is pressed."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

import callsheet
from callsheet.memory import Memory
from conftest import eventually

#: 100 ms are promised.
SOON = 0.5

Blocking = Callable[[callsheet.Client, Memory], object]


def _picker(client: callsheet.Client, memory: Memory) -> object:
    return client.picker("billing").pick(timeout=30)


def _closing(client: callsheet.Client, memory: Memory) -> None:
    running = threading.Event()

    def stuck(_: callsheet.Snapshot) -> None:
        running.set()
        LET_GO.wait(30)

    client.on_change("billing", stuck)
    assert running.wait(10)
    client.close()


def _state(client: callsheet.Client, memory: Memory) -> None:
    client.register("billing", 80, ready=False).wait("registered", 30)


def _ready(client: callsheet.Client, memory: Memory) -> None:
    memory.unreachable()
    client.register("billing", 80, ready=False).ready()


def _watch(client: callsheet.Client, memory: Memory) -> object:
    memory.unreachable()
    return next(client.watch("billing"))


def _names(client: callsheet.Client, memory: Memory) -> object:
    memory.unreachable()
    return next(client.watch_services())


def _slow(call: Callable[[callsheet.Client], object]) -> Blocking:
    def blocking(client: callsheet.Client, memory: Memory) -> object:
        memory.slow(3)
        return call(client)

    return blocking


LET_GO = threading.Event()
CALLS: dict[str, Blocking] = {
    "lookup": _slow(lambda client: client.lookup("billing")),
    "services": _slow(lambda client: client.services()),
    "picker": _slow(lambda client: client.picker("billing")),
    "ping": _slow(lambda client: client.ping()),
    "register": _slow(lambda client: client.register("billing", 80)),
    "wait_for": lambda client, memory: client.wait_for("billing", timeout=30),
    "wait": _state,
    "ready": _ready,
    "watch": _watch,
    "watch_services": _names,
    "pick": _picker,
    "close": _closing,
}


@pytest.fixture
def slow_client(memory: Memory) -> callsheet.Client:
    LET_GO.clear()
    return callsheet.connect(memory.url, timeout=40)


def _quiet(client: callsheet.Client, memory: Memory) -> None:
    memory.slow(0)
    memory.unreachable(False)
    LET_GO.set()
    client.close()


@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c(slow_client: callsheet.Client, memory: Memory, name: str) -> None:
    pressed: list[float] = []
    began = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        began.wait(10)

        # The innermost Python frame stays at the blocking call.
        def place() -> tuple[object, int]:
            frame = sys._current_frames()[main]
            return frame.f_code, frame.f_lasti

        since, at = time.monotonic(), place()
        while time.monotonic() - since < 0.12:
            threading.Event().wait(0.01)
            if place() != at:
                since, at = time.monotonic(), place()
        pressed.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            began.set()
            CALLS[name](slow_client, memory)
        assert time.monotonic() - pressed[0] < SOON
    finally:
        thread.join()
        _quiet(slow_client, memory)


@pytest.mark.parametrize("name", CALLS)
def test_others_run_meanwhile(slow_client: callsheet.Client, memory: Memory, name: str) -> None:
    def call() -> None:
        try:
            CALLS[name](slow_client, memory)
        except (callsheet.Error, StopIteration):
            pass

    thread = threading.Thread(target=call)
    thread.start()
    try:
        # Were the GIL held, this loop would stand still until the call is over, seconds later.
        began = time.monotonic()
        for _ in range(20):
            threading.Event().wait(0.005)
        assert time.monotonic() - began < 2
        assert thread.is_alive()
    finally:
        _quiet(slow_client, memory)
        thread.join(10)
    assert not thread.is_alive()


def test_a_handler_that_does_not_raise_does_not_end_the_wait(
    client: callsheet.Client, memory: Memory
) -> None:
    handled = threading.Event()
    previous = signal.signal(signal.SIGUSR1, lambda *_: handled.set())
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        eventually(lambda: client.stats()["subscribers"] == 1)
        signal.pthread_kill(main, signal.SIGUSR1)
        handled.wait(10)
        memory.put(callsheet.Instance("billing", "h", 1))

    thread = threading.Thread(target=press)
    thread.start()
    try:
        assert len(client.wait_for("billing", timeout=10)) == 1
        assert handled.is_set()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)


def test_a_handler_may_close_the_client_that_is_waited_for(memory: Memory) -> None:
    client = callsheet.connect(memory.url)
    previous = signal.signal(signal.SIGUSR1, lambda *_: client.close())
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        eventually(lambda: client.stats()["loads"] == 1)
        signal.pthread_kill(main, signal.SIGUSR1)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        assert len(list(client.watch("billing"))) <= 1
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
