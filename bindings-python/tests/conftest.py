"""What the tests share: registries of their own, and waiting for conditions instead of moments."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
import uvloop

import callsheet
from callsheet.memory import Memory

# Started in the background of a script, a test run ignores SIGINT, and so would the programs that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

T = TypeVar("T")
_numbers = itertools.count()


def eventually(condition: Callable[[], T], within: float = 10.0) -> T:
    """Wait until `condition` is true; what it says is given back."""
    end = time.monotonic() + within
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {within} s"
        pause.wait(0.005)


async def soon(condition: Callable[[], T], within: float = 10.0) -> T:
    """`eventually` on an event loop, which goes on meanwhile."""
    end = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {within} s"
        await asyncio.sleep(0.002)


class WithoutDescriptors(asyncio.SelectorEventLoop):
    """A loop that can't watch descriptors of other people's, like the usual one on Windows."""

    def add_reader(self, *arguments: Any) -> None:  # type: ignore[override]
        raise NotImplementedError

    def remove_reader(self, *arguments: Any) -> bool:
        raise NotImplementedError


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.SelectorEventLoop,
    "uvloop": uvloop.new_event_loop,
    "without descriptors": WithoutDescriptors,
}


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def run_on(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """What `asyncio.run` does, on `loop`; whatever the loop would have complained of fails the test."""
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    loop.slow_callback_duration = 60
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(_cancel(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        gc.collect()
        assert not complaints


Run = Callable[[Coroutine[Any, Any, object]], object]


@pytest.fixture(params=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine, on each kind of loop."""
    return lambda work: run_on(LOOPS[request.param](), work)


def run_script(code: str, within: float = 60.0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own, which has to end in time."""
    environment = {**os.environ, "PYTHONWARNINGS": "default", **variables}
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        timeout=within,
        env=environment,
        check=False,
    )


def instance(service: str, port: int, **more: object) -> callsheet.Instance:
    return callsheet.Instance(service, "10.0.0.1", port, **more)  # type: ignore[arg-type]


@pytest.fixture
def memory() -> Memory:
    """A registry that no other test has."""
    return Memory(f"test-{os.getpid()}-{next(_numbers)}")


@pytest.fixture
def client(memory: Memory) -> Iterator[callsheet.Client]:
    with callsheet.connect(memory.url) as client:
        yield client
