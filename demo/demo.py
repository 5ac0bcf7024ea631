"""The main job, with real processes on this machine: find each other, survive a crash, leave gracefully.

python demo.py            # tells the story
python demo.py --check    # tells it, and fails where it did not go as promised
"""

from __future__ import annotations

import argparse
import collections
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import callsheet

CALLERS = 8
DEADLINE = 30.0


class Calls:
    """What became of the calls."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answered: collections.Counter[str] = collections.Counter()
        self.retried = 0
        self.failed: list[str] = []

    def total(self) -> int:
        with self.lock:
            return self.answered.total()


class Timeline:
    """When each instance came and went, as the consumer saw it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.came: dict[str, int] = {}
        self.went: dict[str, int] = {}
        self.previous: callsheet.Snapshot | None = None

    def see(self, snapshot: callsheet.Snapshot) -> None:
        now = time.monotonic_ns()
        with self.changed:
            before = {i.metadata["name"] for i in self.previous} if self.previous is not None else set()
            after = {i.metadata["name"] for i in snapshot}
            self.came.update(dict.fromkeys(after - before, now))
            self.went.update(dict.fromkeys(before - after, now))
            self.previous = snapshot
            self.changed.notify_all()

    def wait(self, what: str, seen: Callable[[], bool]) -> None:
        with self.changed:
            if not self.changed.wait_for(seen, timeout=DEADLINE):
                sys.exit(f"the demo waited {DEADLINE:.0f} s for: {what}")


class Provider:
    """One server process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("provider.py")), name],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: dict[str, int] = {}
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            what, at = line.split()
            self.said[what] = int(at)

    def end(self) -> None:
        """Leaves no process behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout
        self.process.stdout.close()


def call_for_ever(picker: callsheet.Picker, calls: Calls, stop: threading.Event) -> None:
    """One caller: picks, calls, reports; one more attempt on another instance if the connection fails or is cut."""

    def get(pick: callsheet.Pick) -> str:
        attempts.append(pick.id)
        with urllib.request.urlopen(f"{pick.url}/", timeout=5) as answer:
            return str(answer.read().decode().strip())

    while not stop.is_set():
        attempts: list[str] = []
        try:
            # A GET may be repeated, so a call that was cut, wherever, is worth a second attempt as well.
            name = picker.call(get, attempts=2, retry_on=(OSError, http.client.HTTPException))
        except Exception as error:
            with calls.lock:
                calls.failed.append(repr(error))
        else:
            with calls.lock:
                calls.answered[name] += 1
                calls.retried += len(attempts) > 1


def until_calls(calls: Calls, more: int) -> None:
    """Waits until so many more calls were answered."""
    goal = calls.total() + more
    deadline = time.monotonic() + DEADLINE
    while calls.total() < goal:
        if time.monotonic() > deadline:
            sys.exit(f"the demo waited {DEADLINE:.0f} s for {more} calls")
        time.sleep(0.01)


def milliseconds(start: int, end: int) -> str:
    return f"{(end - start) / 1e6:.0f} ms"


def tell(text: str) -> None:
    print(f"  {text}", flush=True)


def story(folder: str, check: bool) -> None:
    url = f"local://{folder}/registry.db"
    os.environ["CALLSHEET_URL"] = url
    print(f"callsheet demo: real processes, registry {url}\n")
    calls, timeline, stop = Calls(), Timeline(), threading.Event()
    providers: dict[str, Provider] = {}
    callers: list[threading.Thread] = []
    try:
        with callsheet.connect() as client:
            client.on_change("greeter", timeline.see)
            for name in ("ada", "bob", "cyd"):
                providers[name] = Provider(name)
            timeline.wait("three servers", lambda: len(timeline.came) == 3)
            tell("three HTTP servers started, registered themselves, and this process sees all three")

            picker = client.picker("greeter", policy="p2c")
            callers = [
                threading.Thread(target=call_for_ever, args=(picker, calls, stop)) for _ in range(CALLERS)
            ]
            for caller in callers:
                caller.start()
            until_calls(calls, 1000)
            tell(
                f"{CALLERS} threads call them through a picker: {calls.total():,} calls, {len(calls.failed)} failed"
            )

            retried = calls.retried
            killed = time.monotonic_ns()
            providers["ada"].process.send_signal(signal.SIGKILL)
            timeline.wait("the crash to be seen", lambda: "ada" in timeline.went)
            until_calls(calls, 1000)
            crash = calls.retried - retried
            tell(f"kill -9 of ada: gone from the list after {milliseconds(killed, timeline.went['ada'])};")
            tell(f"    {crash} calls met the crash and were retried elsewhere, {len(calls.failed)} failed")

            retried = calls.retried
            providers["bob"].process.send_signal(signal.SIGTERM)
            timeline.wait("the graceful exit to be seen", lambda: "bob" in timeline.went)
            providers["bob"].process.wait(timeout=DEADLINE)
            until_calls(calls, 1000)
            graceful = calls.retried - retried
            tell(
                "SIGTERM to bob: it withdrew first, finished its calls, then ended with status "
                f"{providers['bob'].process.returncode};"
            )
            tell(f"    {graceful} calls had to be retried, {len(calls.failed)} failed")

            providers["dot"] = Provider("dot")
            timeline.wait("the newcomer", lambda: "dot" in timeline.came)
            until_calls(calls, 1000)
            tell("dot joined and takes its share of the calls")

            stop.set()
            for caller in callers:
                caller.join()
            for name in ("cyd", "dot"):
                providers[name].process.send_signal(signal.SIGTERM)
            timeline.wait("everybody to leave", lambda: {"cyd", "dot"} <= timeline.went.keys())
            for name in ("cyd", "dot"):
                providers[name].process.wait(timeout=DEADLINE)
    finally:
        stop.set()
        for caller in callers:
            if caller.ident is not None:
                caller.join()
        for provider in providers.values():
            provider.end()
    close(providers, calls, timeline, killed)
    if check:
        verify(providers, calls, timeline, killed, graceful)


def close(providers: dict[str, Provider], calls: Calls, timeline: Timeline, killed: int) -> None:
    """The closing table."""
    print(f"\n  {'server':<8}{'calls':>8}   {'seen after joining':<20}{'seen after going':<20}how it went")
    how = {"ada": "kill -9", "bob": "SIGTERM"}
    for name, provider in providers.items():
        joined = milliseconds(provider.said["joining"], timeline.came[name])
        left = milliseconds(killed if name == "ada" else provider.said["leaving"], timeline.went[name])
        print(
            f"  {name:<8}{calls.answered[name]:>8,}   {joined:<20}{left:<20}{how.get(name, 'SIGTERM at the end')}"
        )
    print(
        f"\n  {calls.total():,} calls answered, {calls.retried} of them at the second attempt, "
        f"{len(calls.failed)} failed"
    )
    for failure in calls.failed[:5]:
        print(f"    {failure}")


def verify(
    providers: dict[str, Provider], calls: Calls, timeline: Timeline, killed: int, graceful: int
) -> None:
    """What the story promises, with deadlines five times the promised figures."""
    problems = []
    if calls.failed:
        problems.append(f"{len(calls.failed)} calls failed")
    if graceful:
        problems.append(f"the graceful exit cut {graceful} calls")
    if timeline.went["ada"] - killed > 5e9:
        problems.append("the crash was seen too late")
    if any(calls.answered[name] == 0 for name in providers):
        problems.append("a server was never called")
    if any(providers[name].process.returncode != 0 for name in ("bob", "cyd", "dot")):
        problems.append("a graceful exit did not end with status 0")
    print(f"\n{1 if not problems else 0} passed, {len(problems)} failed")
    if problems:
        sys.exit("\n".join(problems))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where it did not go as promised")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callsheet-demo-") as folder:
        story(folder, arguments.check)


if __name__ == "__main__":
    main()
