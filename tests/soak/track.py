"""What one watcher saw, held against the history: only states that the store was in, and in their order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .lines import Line, State

FRESHNESS = ("live", "stale")


class Track:
    """Fed by the process of the watcher; judged when the history knows more."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.freshness = ""
        self.last: State = frozenset()
        self.seen = 0
        self.empty = 0
        self.problems: list[str] = []
        self._revision = 0
        self._at = 0
        #: What is to be judged yet. A number is a place in the history before which nothing is true any more.
        self._open: deque[State | int] = deque()
        #: The last that were judged, and where they were so.
        self._trail: deque[tuple[int, State]] = deque(maxlen=6)

    def anew(self, line: Line) -> None:
        """It is opened by another process, which must not see what is older than itself."""
        self.freshness = ""
        self._revision = 0
        self._open.append(line.here)

    def saw(self, revision: int, freshness: str, instances: list[str]) -> None:
        state = frozenset(instances)
        self.seen += 1
        self.empty += not state
        if len(state) != len(instances):
            self.problems.append(f"{self.name} saw an instance twice: {sorted(instances)}")
        if revision < self._revision:
            self.problems.append(f"{self.name} saw revision {revision} after {self._revision}")
        if freshness not in FRESHNESS:
            self.problems.append(f"{self.name} saw a list that is {freshness}")
        self._revision, self.freshness, self.last = revision, freshness, state
        self._open.append(state)

    def judge(self, line: Line) -> None:
        """Goes on as far as the history does."""
        while self._open:
            first = self._open[0]
            found = max(self._at, first) if isinstance(first, int) else line.find(first, self._at)
            if found is None:
                return
            self._at = found
            self._open.popleft()
            if not isinstance(first, int):
                self._trail.append((found, first))

    def context(self, line: Line) -> list[str]:
        """What a person needs to see why."""
        return [
            f"  it had seen {[f'{at}: {sorted(state)}' for at, state in self._trail]}",
            *(f"  the store was {told}" for told in line.told(self._at)),
        ]

    @property
    def unexplained(self) -> str | None:
        """What it saw that the history does not know, or not at that time."""
        if not self._open or isinstance(self._open[0], int):
            return None
        return f"{self.name} saw what was not so then or never: {sorted(self._open[0])}"
