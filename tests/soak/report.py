"""What is printed: a line per fault as it happens, the figures at the end, and what a failed run has to tell."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING

from .figures import Figures
from .schedule import INSTANT, Step

if TYPE_CHECKING:
    from .crew import Crew
    from .ground import Differences
    from .presence import Failure
    from .process import Process

TAIL = 40
#: How many of the reasons for which calls failed are told.
REASONS = 12
ACTIONS = ("open", "update", "drain", "close", "rewatch")


class Report:
    def __init__(self, registry: str, seed: int, seconds: float) -> None:
        self.registry = registry
        self.seed = seed
        self.seconds = seconds
        self.counts: Counter[str] = Counter()
        self.figures = Figures(registry)
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._began = time.monotonic()
        print(f"soak: {seconds:g} s of faults on {registry} with seed {seed}", flush=True)

    def start(self) -> None:
        """From now on times are counted."""
        self._began = time.monotonic()

    def step(self, step: Step, detail: str) -> None:
        self.counts[step.kind] += 1
        late = time.monotonic() - self._began - step.at
        words = [f"{step.kind:9}", " ".join(step.whom), detail]
        words += [] if step.kind in (*INSTANT, *ACTIONS) else [f"for {step.lasts:.1f} s"]
        words += [f"({late:.1f} s late)"] if late > 0.5 else []
        line = f"  {step.at:7.2f}  {' '.join(word for word in words if word)}"
        self._tail.append(line)
        if step.kind not in ACTIONS:
            print(line, flush=True)

    def heal(self, seconds: float) -> None:
        self.figures.healed.append(seconds)
        line = f"           all well after {seconds:.2f} s"
        self._tail.append(line)
        print(line, flush=True)

    def say(self, text: str) -> None:
        print(text, flush=True)

    def differ(self, differences: Differences) -> None:
        """As it was when everything was last looked at."""
        self.figures.lost, self.figures.stale = len(differences.registrations), len(differences.watchers)

    def summary(self, crew: Crew, length: str) -> None:
        self._count(crew)
        faults = self.figures.faults
        actions = {kind: self.counts[kind] for kind in ACTIONS}
        print(f"\n{sum(faults.values())} faults: {_list(faults)}")
        print(f"{sum(actions.values())} things that programs did: {_list(actions)}")
        tracks = [track for process in crew for track in process.tracks.values()]
        seen, empty = sum(track.seen for track in tracks), sum(track.empty for track in tracks)
        print(f"{length}; {seen} snapshots seen, {empty} of them empty, as the registry was")
        stats: Counter[str] = Counter()
        for process in crew:
            stats.update({name: process.stats.get(name, 0) for name in STATS})
        losses = sum(process.losses for process in crew)
        print(f"{losses} losses told to programs; {_list(stats)} (of the processes that lived to the end)")
        failed = Counter(_kind(call) for process in crew for call in process.failed)
        if failed:
            print("calls that failed, with how many attempts, and by what:")
            print("\n".join(f"  {count:5} {kind}" for kind, count in failed.most_common(REASONS)))
        for process in crew.lasting:
            print(f"  {_usage(process)}")

    def _count(self, crew: Crew) -> None:
        figures = self.figures
        figures.faults = {kind: count for kind, count in sorted(self.counts.items()) if kind not in ACTIONS}
        figures.snapshots = sum(track.seen for _, track in crew.tracks)
        for process in crew.lasting:
            name, first, last = process.part.name, process.first, process.last
            if first is not None and last is not None:
                figures.held[name] = (
                    f"{first.megabytes:.1f} -> {last.megabytes:.1f}, {first.descriptors} -> {last.descriptors}"
                )
            if process.part.calls:
                figures.calls[name] = (process.calls, len(process.failed), len(process.attempts))

    def failure(self, problems: list[str], logs: Path) -> None:
        print(
            f"\nFAILED with seed {self.seed} (repeat: make soak REGISTRY={self.registry} "
            f"SECONDS={self.seconds:g} SEED={self.seed})"
        )
        print("the end of what happened:")
        print("\n".join(self._tail))
        print("what is wrong:")
        print("\n".join(f"  {problem}" for problem in problems[:50]))
        print(f"what the processes logged is in {logs}", flush=True)


STATS = (
    "publishes",
    "publish_failures",
    "superseded",
    "loads",
    "load_failures",
    "reloads",
    "skipped",
    "undecodable",
)


def _list(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def _kind(call: Failure) -> str:
    """Its number of attempts, and why it failed; the same of all ports and providers."""
    return f"{len(call.tried)} {re.sub(r'[0-9]+', '#', call.why)}"


def _usage(process: Process) -> str:
    first, last = process.first, process.last
    if first is None or last is None:
        return f"{process.part.name}: not measured"
    return (
        f"{process.part.name:10} started {process.starts} times; memory {first.megabytes:.1f} -> "
        f"{last.megabytes:.1f} MB, descriptors {first.descriptors} -> {last.descriptors}, "
        f"connections {first.connections} -> {last.connections}, "
        f"threads {first.threads} -> {last.threads}"
    )
