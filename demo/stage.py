"""Who plays, what they say, and what the director sees of it."""

from __future__ import annotations

import collections
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import callsheet

DEADLINE = 30.0
CAST = Path(__file__).with_name("cast")
BUILT = Path(__file__).parent.parent / "target" / "demo"

#: Who plays, in which language, and how each is started.
MEMBERS = {
    "ada": ("Python", [sys.executable, str(CAST / "ada.py"), "ada"]),
    "bob": ("Node.js", ["node", str(CAST / "bob.mjs"), "bob"]),
    "cyd": ("Go", [str(BUILT / "cyd"), "cyd"]),
    "dot": ("C", [str(BUILT / "dot"), "dot"]),
    "eve": ("Python", [sys.executable, str(CAST / "ada.py"), "eve"]),
}


class Timeline:
    """When each member came and went, as a client in this process saw it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.came: dict[str, int] = {}
        self.went: dict[str, int] = {}
        #: Of those who had gone.
        self.came_back: dict[str, int] = {}
        self.previous: callsheet.Snapshot | None = None
        #: When a list was last of this freshness.
        self.was: dict[str, int] = {}

    def see(self, snapshot: callsheet.Snapshot) -> None:
        now = time.monotonic_ns()
        with self.changed:
            before, self.previous = self.members(), snapshot
            after = self.members()
            for name in after - before:
                (self.came_back if name in self.came else self.came)[name] = now
            self.went.update(dict.fromkeys(before - after, now))
            self.was[snapshot.freshness] = now
            self.changed.notify_all()

    def absences(self) -> list[tuple[int, int]]:
        """From when to when somebody was missing from the list; as if they had never gone."""
        with self.changed:
            absences = [(self.went.pop(name), back) for name, back in self.came_back.items()]
            self.came_back.clear()
            return absences

    def members(self) -> set[str]:
        """Who is in the list."""
        return {i.metadata["name"] for i in self.previous or ()}

    def wait(self, what: str, seen: Callable[[], bool]) -> None:
        with self.changed:
            if not self.changed.wait_for(seen, timeout=DEADLINE):
                sys.exit(f"the demo waited {DEADLINE:.0f} s for: {what}")


class Member:
    """One process of the cast: a server that registers itself and calls the others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.language, command = MEMBERS[name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.said: dict[str, int] = {}
        self.answered, self.retried, self.failed = 0, 0, 0
        self.called: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            what, *words = line.split()
            if what == "calls":
                self.answered, self.retried, self.failed = map(int, words)
            elif what == "called":
                self.called[words[0]] = int(words[1])
            elif what == "failed":
                self.failures.append(f"{self.name}: {line.strip()}")
            else:
                self.said[what] = time.monotonic_ns()

    def signal(self, number: int) -> int:
        """Sends a signal, and says when."""
        sent = time.monotonic_ns()
        self.process.send_signal(number)
        return sent

    def wait(self) -> int:
        """Waits for its end; its exit status."""
        status = self.process.wait(timeout=DEADLINE)
        self.reader.join()
        return status

    def end(self) -> None:
        """Leaves no process behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        assert self.process.stdout
        self.process.stdout.close()


class Cast:
    """Everybody that was started, and what they did together."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        #: When each was told to leave.
        self.told: dict[str, int] = {}

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def enter(self, *names: str) -> None:
        for name in names:
            self.members[name] = Member(name)

    def leave(self, name: str, number: int = signal.SIGTERM) -> None:
        self.told[name] = self[name].signal(number)

    def total(self, what: str) -> int:
        return sum(getattr(member, what) for member in self.members.values())

    def until_calls(self, more: int) -> None:
        """Waits until so many more calls were answered."""
        goal = self.total("answered") + more
        deadline = time.monotonic() + DEADLINE
        while self.total("answered") < goal:
            if time.monotonic() > deadline:
                sys.exit(f"the demo waited {DEADLINE:.0f} s for {more} calls")
            time.sleep(0.05)

    def end(self) -> None:
        for member in self.members.values():
            member.end()


def milliseconds(start: int, end: int) -> str:
    return f"{max(end - start, 0) / 1e6:.0f} ms"


def tell(text: str) -> None:
    print(f"  {text}", flush=True)
