"""What a process holds: memory, file descriptors, threads. Of Linux's /proc."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

#: Allocators keep what they once needed and heaps grow; what leaks passes this in half an hour.
MEGABYTES = 8
#: The connection, which a process that was just started may have had no reason for yet.
DESCRIPTORS = 1
#: Those of registrations that were not open yet, and what runtimes keep; one per fault passes this in a minute.
THREADS = 6


@dataclass(frozen=True)
class Usage:
    megabytes: float
    descriptors: int
    threads: int

    def growth(self, first: Usage) -> str | None:
        """What of it is more than a run explains."""
        grown = []
        if self.megabytes > first.megabytes + MEGABYTES:
            grown.append(f"memory from {first.megabytes:.1f} to {self.megabytes:.1f} MB")
        if self.descriptors > first.descriptors + DESCRIPTORS:
            grown.append(f"descriptors from {first.descriptors} to {self.descriptors}")
        if self.threads > first.threads + THREADS:
            grown.append(f"threads from {first.threads} to {self.threads}")
        return ", ".join(grown) or None


def usage(pid: int) -> Usage:
    folder = Path(f"/proc/{pid}")
    status = (folder / "status").read_text()
    said = dict(re.findall(r"^(RssAnon|Threads):\s+(\d+)", status, re.MULTILINE))
    return Usage(int(said["RssAnon"]) / 1024, len(list((folder / "fd").iterdir())), int(said["Threads"]))
