"""What a process holds: memory, file descriptors, threads, connections. Of Linux's /proc."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.sockets import connections, descriptors

#: Allocators keep what they once needed and heaps grow; what leaks passes this in half an hour.
MEGABYTES = 8
DESCRIPTORS = 1
#: Queries that wait, and what is asked beside them: on Consul each is a connection for a while. On etcd it is one.
CONNECTIONS = 48
#: Those of registrations that were not open yet, and what runtimes keep; one per fault passes this in a minute.
THREADS = 6


@dataclass(frozen=True)
class Usage:
    megabytes: float
    descriptors: int
    """Without the connections to the registry."""
    threads: int
    connections: int = 0

    def growth(self, first: Usage) -> str | None:
        """What of it is more than a run explains."""
        grown = []
        if self.megabytes > first.megabytes + MEGABYTES:
            grown.append(f"memory from {first.megabytes:.1f} to {self.megabytes:.1f} MB")
        if self.descriptors > first.descriptors + DESCRIPTORS:
            grown.append(f"descriptors from {first.descriptors} to {self.descriptors}")
        if self.threads > first.threads + THREADS:
            grown.append(f"threads from {first.threads} to {self.threads}")
        if self.connections > CONNECTIONS:
            grown.append(f"connections to {self.connections}")
        return ", ".join(grown) or None


def usage(pid: int, endpoints: Sequence[str]) -> Usage:
    status = Path(f"/proc/{pid}/status").read_text()
    said = dict(re.findall(r"^(RssAnon|Threads):\s+(\d+)", status, re.MULTILINE))
    open_now = connections(endpoints, pid).total()
    held = len(descriptors(pid)) - open_now
    return Usage(int(said["RssAnon"]) / 1024, held, int(said["Threads"]), open_now)
