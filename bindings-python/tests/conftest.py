"""What the tests share: registries of their own, and waiting for conditions instead of moments."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

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
