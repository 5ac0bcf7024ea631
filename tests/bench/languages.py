"""The rows that every language has on `local:`: each is the same few steps of a process of that language, led from
here.

`follow` says when each change reached it, `hold` takes 10,000 instances and counts what one change makes anew,
`watches` follows 300 services. Changes come from another process, and what a process holds is read from outside.
"""

from __future__ import annotations

import signal
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rows import Row, row, spread

if TYPE_CHECKING:
    from places import Place

HERE = Path(__file__).parent

#: What the other process registers instances of.
SERVICE = "billing"

CHANGES = 300
MANY = 10_000
ROUNDS = 3
PATIENCE = 300.0


@dataclass(frozen=True)
class Language:
    """How a process of this language is started, and what a change arrives as in it."""

    name: str
    command: list[str]
    arrival: str = "callback"
    #: Whether its clock is the time of day, because the language has no monotonic one to compare between processes.
    time_of_day: bool = False
    #: The mode in which it says when each change was there.
    following: str = "arrive"

    def on(self, mode: str, place: Place) -> tuple[str, ...]:
        """What `led` takes to start it at a place."""
        return (self.name, *self.command, mode, *place.ours)


def cpu_of(process: int) -> int:
    """Nanoseconds that a process has run so far, in user and system mode, on Linux."""
    # The clock of another process, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime_ns(~process << 3 | 2)


class Led:
    """A process that says each step, and goes on with a line."""

    def __init__(self, what: str, process: subprocess.Popen[str]) -> None:
        self.what = what
        self.process = process

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def said(self) -> str:
        """The next line that it says."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            killed = self.process.wait() == -signal.SIGKILL
            sys.exit(f"{self.what} " + (f"took more than {PATIENCE:.0f} s" if killed else "ended too early"))
        return line.strip()

    def tell(self, line: str) -> None:
        """A line of its input."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def go_on(self) -> None:
        """Let it take its next step."""
        self.tell("")

    def cpu(self) -> int:
        """Nanoseconds that it has run so far."""
        return cpu_of(self.pid)

    def status(self, field: str) -> int:
        """A number that the system has of it."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
        sys.exit(f"the system does not tell {field} of {self.what}")

    def descriptors(self) -> int:
        """How many it has open."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def connections(self, port: int) -> int:
        """How many it has to a port, by IPv4."""
        of = Path(f"/proc/{self.process.pid}")
        lines = (line.split() for line in (of / "net" / "tcp").read_text().splitlines()[1:])
        there = {f"socket:[{line[9]}]" for line in lines if int(line[2].rpartition(":")[2], 16) == port}
        return sum(str(descriptor.readlink()) in there for descriptor in (of / "fd").iterdir())


@contextmanager
def led(what: str, *command: str, patience: float = PATIENCE) -> Iterator[Led]:
    """Runs a process until the block ends, which is the end of its input."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(patience, process.kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield Led(what, process)
    except BaseException:
        process.kill()
        raise
    finally:
        process.communicate()
        watchdog.cancel()
    if process.returncode != 0:
        sys.exit(f"{what} failed with {process.returncode}")


@contextmanager
def provider(url: str, count: int) -> Iterator[Led]:
    """The other process, once it has registered so many instances."""
    with led("the provider", sys.executable, str(HERE / "provider.py"), url, str(count)) as process:
        process.said()
        yield process


def sqlite_round_trip(folder: Path) -> list[float]:
    """A write to SQLite in WAL mode and a read of it on another connection: what no `local:` can be faster than."""
    path = folder / "floor.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA synchronous = NORMAL")
    writer.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body TEXT)")
    reader = sqlite3.connect(path)
    times = []
    for number in range(500):
        began = time.perf_counter_ns()
        writer.execute("INSERT OR REPLACE INTO t VALUES (1, ?)", (str(number),))
        reader.execute("SELECT body FROM t WHERE id = 1").fetchone()
        times.append((time.perf_counter_ns() - began) / 1e6)
    reader.close()
    writer.close()
    return spread(times)


def changes(language: Language, folder: Path) -> Iterator[Row]:
    """A change in another process until it is there, through `local:`."""
    url = f"local://{folder}/changes-{language.name}.db"
    floor = sqlite_round_trip(folder)
    latencies = []
    with (
        provider(url, 1) as publisher,
        led(language.name, *language.command, "follow", url, SERVICE) as follower,
    ):
        while follower.said() != "ready":
            pass
        for number in range(CHANGES):
            # A change now and then: readers that were just woken would be faster.
            time.sleep(0.03)
            publisher.go_on()
            began = int(publisher.said().split()[language.time_of_day])
            while (said := follower.said().split())[1:] != [str(number)]:
                pass
            latencies.append((int(said[0]) - began) / 1e6)
    cuts = statistics.quantiles(latencies, n=100)
    for name, value, goal in (("p50", cuts[49], "5 ms"), ("p99", cuts[98], "25 ms")):
        yield row(
            f"local: change in another process to {language.name} {language.arrival}, {name}",
            "ms",
            [value] * 3,
            "a bare SQLite write and read",
            floor,
            goal,
        )


def many(languages: list[Language], folder: Path) -> Iterator[Row]:
    """10,000 instances: what they weigh, and what a change of one makes anew."""
    url = f"local://{folder}/many.db"
    objects, weights = [], []
    with provider(url, MANY) as publisher:
        for language in languages:
            fresh, empty, grown = [], [], []
            for _ in range(ROUNDS):
                with led(language.name, *language.command, "hold", url, SERVICE) as holder:
                    holder.said()
                    empty.append(holder.status("VmRSS") / 1024)
                    holder.go_on()
                    if (held := holder.said()) != str(MANY):
                        sys.exit(f"{language.name} holds {held} instances instead of {MANY}")
                    grown.append(holder.status("VmRSS") / 1024 - empty[-1])
                    holder.go_on()
                    holder.said()
                    publisher.go_on()
                    publisher.said()
                    fresh.append(float(holder.said()))
            name = f"{language.name} change of one in {MANY:,} instances, local:"
            objects.append(row(name, "new", spread(fresh), goal="1"))
            name = f"{language.name} memory of {MANY:,} instances, local:"
            weights.append(
                row(name, "MiB", spread(grown), "the process before, with a client", spread(empty))
            )
    yield from objects
    yield from weights


def watched(language: Language, url: str, also: Callable[[Led], dict[str, int]] = lambda _: {}) -> str:
    """What 300 watched services cost besides memory, before and after."""
    before: dict[str, int] = {}
    after: dict[str, int] = {}
    with led(language.name, *language.command, "watches", url) as watcher:
        for counts in (before, after):
            _, *goroutines = watcher.said().split()
            counts.update(also(watcher))
            counts["threads"] = watcher.status("Threads")
            counts["descriptors"] = watcher.descriptors()
            if goroutines:
                counts["goroutines"] = int(goroutines[0])
            watcher.go_on()
    return ", ".join(f"{what} {before[what]} -> {after[what]}" for what in before)


def rows(languages: list[Language], folder: Path) -> Iterator[Row]:
    """Every row of every language, row by row rather than language by language."""
    for language in languages:
        yield from changes(language, folder)
    if not Path("/proc/self/fd").exists():
        # What a process holds is read from there.
        yield row(f"memory of {MANY:,} instances, 300 watched services", "", "counted on Linux only")
        return
    yield from many(languages, folder)
    for language in languages:
        counted = watched(language, f"local://{folder}/watches.db")
        yield row(f"{language.name} 300 watched services, local:", "", counted, goal="flat")
