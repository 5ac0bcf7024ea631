"""The main job, with real processes in four languages: find each other, survive a crash, leave gracefully.

python demo.py            # tells the story
python demo.py --check    # tells it, and fails where it did not go as promised
"""

from __future__ import annotations

import argparse
import collections
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

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


def story(folder: str, check: bool) -> None:
    url = f"local://{folder}/registry.db"
    os.environ["CALLSHEET_URL"] = url
    print(f"callsheet demo: real processes, registry {url}\n")
    cast, timeline = Cast(), Timeline()
    try:
        with callsheet.connect() as client:
            client.on_change("greeter", timeline.see)
            cast.enter("ada", "bob", "cyd", "dot")
            timeline.wait("four members", lambda: len(timeline.came) == 4)
            tell(
                "a Python, a Node.js, a Go and a C program started, each an HTTP server that registered itself"
            )
            cast.until_calls(1000)
            tell(
                f"each calls them all through a picker of its own: {cast.total('answered'):,} calls, "
                f"{cast.total('failed')} failed"
            )

            retried = cast.total("retried")
            cast.leave("cyd", signal.SIGKILL)
            timeline.wait("the crash to be seen", lambda: "cyd" in timeline.went)
            cast.until_calls(1000)
            crash = cast.total("retried") - retried
            gone = milliseconds(cast.told["cyd"], timeline.went["cyd"])
            tell(f"kill -9 of cyd (Go): gone from everybody's list after {gone};")
            tell(f"    {crash} calls met the crash and were retried elsewhere, {cast.total('failed')} failed")

            retried = cast.total("retried")
            cast.leave("bob")
            timeline.wait("the graceful exit to be seen", lambda: "bob" in timeline.went)
            status = cast["bob"].wait()
            cast.until_calls(1000)
            graceful = cast.total("retried") - retried
            tell(
                "SIGTERM to bob (Node.js): it withdrew first, finished its calls, then ended with "
                f"status {status};"
            )
            tell(f"    {graceful} calls had to be retried, {cast.total('failed')} failed")

            cast.enter("eve")
            timeline.wait("the newcomer", lambda: "eve" in timeline.came)
            cast.until_calls(1000)
            tell("eve (Python) joined, and takes its share of the calls")

            rest = ("ada", "dot", "eve")
            for name in rest:
                cast.leave(name)
            timeline.wait("everybody to leave", lambda: set(rest) <= timeline.went.keys())
            for name in rest:
                cast[name].wait()
    finally:
        cast.end()
    close(cast, timeline)
    if check:
        verify(cast, timeline, graceful)


def calls_to(cast: Cast, name: str) -> int:
    """Calls that `name` answered, by those who could still tell at their end."""
    return sum(member.called[name] for member in cast.members.values())


def close(cast: Cast, timeline: Timeline) -> None:
    """The closing table."""
    head = (
        "member",
        "in",
        "called others",
        "was called",
        "seen after joining",
        "seen after going",
        "how it went",
    )
    lines = [head]
    how = {"cyd": "kill -9, and told nobody", "bob": "SIGTERM"}
    for name, member in cast.members.items():
        lines.append(
            (
                name,
                member.language,
                f"{member.answered:,}",
                f"{calls_to(cast, name):,}",
                milliseconds(member.said["joining"], timeline.came[name]),
                milliseconds(cast.told[name], timeline.went[name]),
                how.get(name, "SIGTERM at the end"),
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    print()
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(
        f"\n  {cast.total('answered'):,} calls answered, {cast.total('retried')} of them at the second attempt, "
        f"{cast.total('failed')} failed"
    )
    for failure in [failure for member in cast.members.values() for failure in member.failures][:5]:
        print(f"    {failure}")


def verify(cast: Cast, timeline: Timeline, graceful: int) -> None:
    """What the story promises, with deadlines five times the promised figures."""
    problems = []
    if cast.total("failed"):
        problems.append(f"{cast.total('failed')} calls failed")
    if graceful:
        problems.append(f"the graceful exit cut {graceful} calls")
    if timeline.went["cyd"] - cast.told["cyd"] > 5e9:
        problems.append("the crash was seen too late")
    if any(calls_to(cast, name) == 0 for name in cast.members):
        problems.append("a member was never called")
    if any(member.process.returncode != 0 for name, member in cast.members.items() if name != "cyd"):
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
