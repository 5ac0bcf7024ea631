"""What this process uses, as the kernel counts it: threads, descriptors, memory, processor time."""

from __future__ import annotations

import ctypes
import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from servers.sockets import connections, descriptors

PROCESS = Path("/proc/self")
# Resident memory also counts what allocators keep and give back when they like, so only much more of it means anything.
RESIDENT = 64 << 20


@dataclass(frozen=True)
class Footprint:
    threads: int
    descriptors: int
    """Without the connections to the endpoints that were left out."""
    allocated: int
    """Bytes that malloc has handed out, to the core or to Python, small objects of Python apart."""
    resident: int
    """Bytes of all kinds."""

    @classmethod
    def now(cls, apart_from: Iterable[str] = ()) -> Footprint:
        """`apart_from` some endpoints (host:port of IPv4)."""
        resident = int((PROCESS / "statm").read_text().split()[1]) * resource.getpagesize()
        held = descriptors()
        # Of the same descriptors: connections are opened while one counts.
        count = len(held) - connections(apart_from, among=held).total()
        return cls(_count("task"), count, _allocated(), resident)

    def growth_since(self, before: Footprint, memory: int | None) -> list[str]:
        """What is more than before, in words; memory too if it is said by how many bytes more may be allocated."""
        grown = []
        if self.threads > before.threads:
            grown.append(f"{self.threads} threads, {before.threads} before: {sorted(_thread_names())}")
        if self.descriptors > before.descriptors:
            kinds = Counter(what.partition(":")[0] for what in descriptors())
            grown.append(f"{self.descriptors} descriptors, {before.descriptors} before: {dict(kinds)}")
        if memory is None:
            return grown
        for now, then, most in (
            (self.allocated, before.allocated, memory),
            (self.resident, before.resident, RESIDENT),
        ):
            if now > then + most:
                grown.append(f"{now / 2**20:.1f} MB of memory, {then / 2**20:.1f} MB before")
        return grown


class Stopwatch:
    """Time that went by, and processor time that this process used."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._used = time.process_time()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def load(self) -> float:
        """Processor time over time: 1 is one core in full."""
        return (time.process_time() - self._used) / self.seconds


class _Malloc(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


def _allocated() -> int:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Malloc
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


def _count(folder: str) -> int:
    return len(list((PROCESS / folder).iterdir()))


def _thread_names() -> list[str]:
    return [(task / "comm").read_text().strip() for task in (PROCESS / "task").iterdir()]
