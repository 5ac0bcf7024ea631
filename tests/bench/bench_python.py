"""The rows of `make bench` that are measured in Python, as JSON lines for `bench.py`.

With a mode, a URL and mostly a service, the process that `bench.py` follows, weighs and counts.
"""

from __future__ import annotations

import gc
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import callsheet
import languages
import rows

ROUNDS = 7
CALLS = 200_000

#: The instance that changes while arrivals are noted.
CHANGED = "10.0.0.25:8080"

#: Registers, says so and how many tries failed, and leaves when its input ends.
CROWD = """
import sys, callsheet
with callsheet.connect(sys.argv[1], timeout=60) as client:
    registration = client.register("crowd", port=int(sys.argv[2]))
    registration.wait("registered", timeout=60)
    print(client.stats()["publish_failures"], flush=True)
    sys.stdin.read()
"""


def row(
    name: str,
    unit: str,
    figure: list[float],
    floor: str = "-",
    floor_figure: list[float] | None = None,
    goal: str = "-",
) -> None:
    """Says one line of the table."""
    print(json.dumps(rows.row(name, unit, figure, floor, floor_figure, goal)))


def per_call(call: Callable[[], object], threads: int) -> None:
    """Says for each line nanoseconds of one of many calls on each of so many threads, the loop's own cost included."""

    def work() -> None:
        for _ in range(CALLS):
            call()

    while sys.stdin.readline():
        workers = [threading.Thread(target=work) for _ in range(threads)]
        began = time.perf_counter_ns()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        say((time.perf_counter_ns() - began) / CALLS)


def picks(how: str, policy: str, threads: int) -> None:
    """The hot path in two ways, and as their floor two calls that do nothing but cross the boundary."""
    memory = callsheet.memory.Memory("bench-picks")
    for port in range(1, 101):
        memory.put(callsheet.Instance("billing", "10.0.0.1", port))
    with callsheet.connect("memory:bench-picks") as client:
        picker = client.picker("billing", policy="p2c" if policy == "p2c" else "round_robin")

        def plain(pick: Callable[[], callsheet.Pick] = picker.pick) -> None:
            pick().done()

        def with_block(pick: Callable[[], callsheet.Pick] = picker.pick) -> None:
            with pick():
                pass

        def empty(call: Callable[[], int] = picker.__len__) -> None:
            call()
            call()

        ways: dict[str, Callable[[], object]] = {"pick": plain, "with": with_block, "floor": empty}
        per_call(ways[how], threads)


def first_list(folder: Path) -> None:
    """From nothing to 10,000 instances as Python objects."""
    url = f"local://{folder}/many.db"
    count = 10_000
    # In a process of its own: a client here would share what the provider has open.
    with languages.provider(url, count):
        loads, floors = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            with callsheet.connect(url) as client:
                assert sum(len(instance.id) for instance in client.lookup("billing")) == 6 * count
            loads.append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            connection = sqlite3.connect(f"{folder}/many.db")
            bodies = connection.execute("SELECT body FROM instances WHERE service = 'billing'")
            assert sum(len(json.loads(body)["id"]) for (body,) in bodies) == 6 * count
            connection.close()
            floors.append((time.perf_counter() - began) * 1e3)
    row(
        "Python connect to first list of 10,000 instances, local:",
        "ms",
        rows.spread(loads),
        "sqlite3 and json alone",
        rows.spread(floors),
    )


def start_up() -> None:
    """Import and connect in a fresh interpreter, beside starting one that imports nothing."""

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return (time.perf_counter() - began) * 1e3

    # In pairs, so that both meet the machine in the same mood.
    pairs = [
        (run("pass"), run("import callsheet; callsheet.connect('memory:').close()"))
        for _ in range(2 * ROUNDS)
    ]
    gained = rows.spread([full - bare for bare, full in pairs])
    bare = rows.spread([bare for bare, _ in pairs])
    row("Python import, connect and close", "ms", gained, "starting the interpreter", bare, "50 ms")


def idle(folder: Path) -> None:
    """CPU of a client that watches 20 services while nothing happens."""
    url = f"local://{folder}/idle.db"
    seconds = 20.0
    with callsheet.connect(url) as client:
        watches = [client.watch(f"service-{number}") for number in range(20)]
        for watch in watches:
            next(watch)
        before = resource.getrusage(resource.RUSAGE_SELF)
        time.sleep(seconds)
        after = resource.getrusage(resource.RUSAGE_SELF)
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    share = used / seconds * 100
    row("Idle client with 20 watched services, local:", "% of a core", [share] * 3, goal="0.1 %")


def thousand(folder: Path) -> None:
    """CPU of keeping 1,000 registrations alive, beside one."""
    url = f"local://{folder}/thousand.db"
    shares = []
    for count in (1, 1000):
        with callsheet.connect(url) as client:
            for number in range(count):
                client.register("many", port=80, id=f"i{number}")
            seconds = 20.0
            before = resource.getrusage(resource.RUSAGE_SELF)
            time.sleep(seconds)
            after = resource.getrusage(resource.RUSAGE_SELF)
        used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
        shares.append(used / seconds * 100)
    row(
        "1,000 registrations kept alive, local:",
        "% of a core",
        [shares[1]] * 3,
        "one registration",
        [shares[0]] * 3,
        "1 %",
    )


def crowd(folder: Path) -> None:
    """200 processes that register at once."""
    url = f"local://{folder}/crowd.db"
    count = 200
    with callsheet.connect(url) as client:
        began = time.perf_counter()
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", CROWD, url, str(1000 + number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for number in range(count)
        ]
        client.wait_for("crowd", count=count, timeout=120)
        elapsed = time.perf_counter() - began
        failed, retried = 0, 0
        for process in processes:
            said, _ = process.communicate()
            failed += process.returncode != 0
            retried += int(said or 1)
    name = f"200 processes registered at once, local: ({failed} failed, {retried} tries met an error)"
    row(name, "s", [elapsed] * 3, goal="0 and 0")


def say(*said: object) -> None:
    """Says a line, whole although another thread may say one too."""
    sys.stdout.write(" ".join(map(str, said)) + "\n")
    sys.stdout.flush()


def step(*said: object) -> None:
    """Says that something is done, and waits until the other process has looked."""
    say(*said)
    sys.stdin.readline()


def follow(client: callsheet.Client, service: str) -> None:
    """Says when each change was there."""

    def changed(snapshot: callsheet.Snapshot) -> None:
        at = time.monotonic_ns()
        for instance in snapshot:
            say(at, instance.metadata.get("n"))

    client.wait_for(service, timeout=10)
    client.on_change(service, changed)
    step("ready")


def hold(client: callsheet.Client, service: str) -> None:
    """What many instances weigh, and what a change of one makes anew."""
    client.lookup("nobody")
    gc.collect()
    step("empty")
    held = list(client.lookup(service))
    gc.collect()
    step(len(held))
    watch = client.watch(service)
    before = list(next(watch))
    say("watching")
    fresh = 0
    while not fresh:
        fresh = sum(new is not old for new, old in zip(next(watch), before, strict=True))
    step(fresh)


def watches(client: callsheet.Client) -> None:
    """Many services followed at once."""
    client.lookup("nobody")
    step("before")
    opened = [client.watch(f"service-{number}") for number in range(300)]
    for watch in opened:
        next(watch)
    step("after")


def arrive(client: callsheet.Client, service: str) -> None:
    """Notes when each change was there, and says for each line what it noted since the last one."""
    noted: list[tuple[str, int]] = []
    first = threading.Event()

    def changed(snapshot: callsheet.Snapshot) -> None:
        at = time.monotonic_ns()
        if instance := snapshot.get(CHANGED):
            noted.append((instance.metadata["n"], at))
        first.set()

    client.on_change(service, changed)
    first.wait()
    say("ready")
    while sys.stdin.readline():
        said = [f"{n}:{at}" for n, at in noted]
        noted.clear()
        say(*said)


def first(url: str, service: str) -> None:
    """Says how long each way from nothing to the first list took."""
    while sys.stdin.readline():
        began = time.perf_counter()
        with callsheet.connect(url) as client:
            read = sum(len(instance.id) for instance in client.lookup(service))
            say((time.perf_counter() - began) * 1e3, read)


MODES: dict[str, Callable[..., None]] = {
    "follow": follow,
    "hold": hold,
    "watches": watches,
    "arrive": arrive,
}


def main() -> None:
    if len(sys.argv) > 1:
        mode, url, *service = sys.argv[1:]
        if mode in ("pick", "with", "floor"):
            picks(mode, url, int(*service))
            return
        if mode == "first":
            first(url, *service)
            return
        with callsheet.connect(url) as client:
            MODES[mode](client, *service)
        return
    start_up()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first_list(folder)
        idle(folder)
        thousand(folder)
        crowd(folder)


if __name__ == "__main__":
    main()
