"""Waiting for a condition with a deadline, such as that a process is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def until(condition: Callable[[], bool], deadline: float = 10) -> None:
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline:g} s"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Also a process of somebody else. The dead don't count, whether or not their parent has noticed."""
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except (FileNotFoundError, ProcessLookupError):
        return False
