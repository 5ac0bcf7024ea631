"""What a run of one registry comes to, and the table of several, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

Row = Sequence[object]


@dataclass
class Figures:
    registry: str
    faults: dict[str, int] = field(default_factory=dict)
    snapshots: int = 0
    lost: int = 0
    """Registrations that are not in the registry as they should be, once everything healed."""
    stale: int = 0
    """Watchers that do not show what is there then."""
    healed: list[float] = field(default_factory=list)
    """Seconds until all was well after the last of some faults."""
    calls: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Language → how many calls, how many failed, how many attempts failed."""
    unexcused: int = 0
    """Of these and of their attempts, how many did so at one that was there, or had gone long before."""
    held: dict[str, str] = field(default_factory=dict)
    """Process → its memory and descriptors, when it was first well and at the end."""
    problems: int = 0

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Figures:
        return cls(**json.loads(path.read_text()))


def table(runs: Sequence[Figures]) -> str:
    """All figures, a column for each registry."""
    names = [run.registry for run in runs]
    parts: list[list[Row]] = [
        [
            ["", *names],
            ["faults", *(sum(run.faults.values()) for run in runs)],
            *([f"  {kind}", *(run.faults.get(kind, 0) for run in runs)] for kind in _keys(runs, "faults")),
        ],
        [
            ["snapshots judged", *(run.snapshots for run in runs)],
            ["registrations lost", *(run.lost for run in runs)],
            ["stale after heal", *(run.stale for run in runs)],
            ["healed, times", *(len(run.healed) for run in runs)],
            ["  in, median", *(_seconds(sorted(run.healed)[len(run.healed) // 2 :]) for run in runs)],
            ["  in, at most", *(_seconds(sorted(run.healed)[-1:]) for run in runs)],
            ["problems", *(run.problems for run in runs)],
        ],
        [
            ["calls, attempts=2: made / failed / attempts that failed"],
            *([f"  {who}", *(_calls(run.calls.get(who)) for run in runs)] for who in _keys(runs, "calls")),
            ["for no good reason", *(run.unexcused for run in runs)],
        ],
        [
            ["MB and descriptors, first -> last"],
            *([f"  {who}", *(run.held.get(who, "-") for run in runs)] for who in _keys(runs, "held")),
        ],
    ]
    return "\n\n".join(_aligned(rows) for rows in parts)


def _keys(runs: Sequence[Figures], name: str) -> list[str]:
    """Of a field of all runs, as they come."""
    return list(dict.fromkeys(key for run in runs for key in getattr(run, name)))


def _seconds(values: Sequence[float]) -> str:
    return f"{values[0]:.2f} s" if values else "-"


def _calls(counts: Sequence[int] | None) -> str:
    return " / ".join(map(str, counts)) if counts else "-"


def _aligned(rows: Iterable[Row]) -> str:
    return "\n".join(f"{row[0]:20}" + "".join(f"  {cell!s:>32}" for cell in row[1:]) for row in rows)
