"""One client process: told what to do a line at a time, and what it says of states and snapshots."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from servers.warden import warden

from .presence import Failure
from .track import Track
from .usage import Usage, usage

if TYPE_CHECKING:
    from .lines import History
    from .parts import Part
    from .presence import Presence

#: Where Python finds the package that this is in.
TESTS = Path(__file__).parents[1]
END_DEADLINE = 30.0
#: What a registration may do next. Nobody refuses here.
FOLLOWS = {
    "": {"pending", "registered", "lost", "superseded"},
    "pending": {"registered", "superseded", "closed"},
    "registered": {"lost", "superseded", "closed"},
    "lost": {"registered", "superseded", "closed"},
    "superseded": {"registered", "lost", "closed"},
    "closed": set[str](),
}


class Process:
    """A part of the run; started again after it was killed, with the same tracks."""

    def __init__(
        self,
        part: Part,
        url: str,
        endpoints: Sequence[str],
        history: History,
        presence: Presence,
        log: Path,
    ) -> None:
        self.part = part
        self._presence = presence
        self._log = log
        self.lock = threading.Lock()
        self.tracks = {watcher.name: Track(watcher.name) for watcher in part.watchers}
        self.states: dict[str, str] = {}
        self.losses = 0
        self.unanswered: set[int] = set()
        self.problems: list[str] = []
        #: What a caller says: how many calls it made, and which failed, altogether or at the first attempt.
        self.calls = 0
        self.failed: list[Failure] = []
        self.attempts: list[Failure] = []
        self.stats: dict[str, int] = {}
        #: What it held when all was well for the first time, and at the end.
        self.first: Usage | None = None
        self.last: Usage | None = None
        self.starts = 0
        self._url = url
        self._endpoints = endpoints
        self._lines = {
            watcher.name: history.line(watcher.service, watcher.healthy) for watcher in part.watchers
        }
        self._commands = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.states = {}
        self.unanswered = set()
        self.first = None
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [*self.part.command, self._url],
                cwd=TESTS,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        warden.guard(self._child.pid)
        self._reader = threading.Thread(target=self._read, name=self.part.name)
        self._reader.start()
        for watcher in self.part.watchers:
            self.watch(watcher.name, anew=True)

    # --- What it is told ----------------------------------------------------------------------------------------

    def watch(self, name: str, *, anew: bool = False) -> None:
        """Opens a watcher, or closes it and opens it again."""
        watcher = next(watcher for watcher in self.part.watchers if watcher.name == name)
        if anew:
            with self.lock:
                self.tracks[name].anew(self._lines[name])
        self.tell("watch", watcher=name, service=watcher.service, healthy=watcher.healthy)

    def tell(self, what: str, **more: object) -> None:
        self._commands += 1
        with self.lock:
            self.unanswered.add(self._commands)
        line = json.dumps({"do": what, "number": self._commands, **more}) + "\n"
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line.encode())
            self._child.stdin.flush()
        except BrokenPipeError:
            self.problems.append(f"{self.part.name} ended by itself, with status {self._child.wait()}")

    # --- What is done to it -------------------------------------------------------------------------------------

    def kill(self) -> None:
        """SIGKILL; what it said before is read."""
        self._child.kill()
        self._reap()

    def freeze(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._child.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """Lets it withdraw and end; its exit status."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(END_DEADLINE)
        except subprocess.TimeoutExpired:
            self._child.kill()
        status = self._reap()
        self.states = {}
        return status

    @property
    def usage(self) -> Usage:
        return usage(self._child.pid, self._endpoints)

    # --- What it says -------------------------------------------------------------------------------------------

    @property
    def well(self) -> bool:
        """It has answered everything, and its watchers are live and show what is there now."""
        with self.lock:
            return not self.unanswered and all(self._is_true(name) for name in self.tracks)

    def _is_true(self, name: str) -> bool:
        track = self.tracks[name]
        return track.freshness == "live" and track.last == self._lines[name].latest

    def judge(self) -> list[str]:
        """What it said or saw that is wrong."""
        with self.lock:
            wrong = list(self.problems)
            for name, track in self.tracks.items():
                track.judge(self._lines[name])
                wrong += track.problems
                if track.unexplained:
                    wrong += [track.unexplained, *track.context(self._lines[name])]
            return wrong

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # killed in the middle of it
            with self.lock:
                self._take(said)

    def _take(self, said: dict[str, Any]) -> None:
        if "saw" in said:
            self.tracks[said["saw"]].saw(said["revision"], said["freshness"], said["instances"])
        elif "state" in said:
            self._enter(said["slot"], said["state"])
        elif "calls" in said:
            self.calls = said["calls"]
        elif "attempt" in said:
            self.attempts.append(_failure([said["attempt"]], said))
        elif "call" in said:
            self.failed.append(_failure(said["call"], said))
        elif "listens" in said:
            self._presence.came(said["listens"], said["at"])
        elif "leaves" in said:
            self._presence.left(said["leaves"], said["at"])
        elif "did" in said:
            self.unanswered.discard(said["did"])
            self.stats = said.get("stats", self.stats)
            if "failed" in said:
                self.problems.append(f"{self.part.name}: {said['failed']}")

    def _enter(self, slot: str, state: str) -> None:
        before = self.states.get(slot, "")
        # A closed registration is followed by a new one.
        if state not in FOLLOWS["" if before == "closed" else before]:
            self.problems.append(f"{slot} was {before or 'new'} and then {state}")
        self.losses += state == "lost"
        self.states[slot] = state

    def _reap(self) -> int:
        status = self._child.wait()
        warden.release(self._child.pid)
        self._reader.join()
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            self._child.stdin.close()
        except OSError:
            pass
        self._child.stdout.close()
        return status


def _failure(tried: list[str], said: dict[str, Any]) -> Failure:
    return Failure(tuple(tried), said["began"], said["ended"], said["why"])
