"""The table of `make bench`: every figure beside its floor, measured in the same run.

The ratio is what counts; nanoseconds are of the machine that they were measured on.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Row = dict[str, Any]


def rows_of(command: list[str]) -> list[Row]:
    """Runs one part of the benchmark, which prints a JSON object per row."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def shown(figure: list[float], unit: str) -> str:
    """Minimum, median and maximum."""
    digits = 2 if figure[1] < 10 else 1 if figure[1] < 100 else 0
    low, middle, high = (f"{value:,.{digits}f}" for value in figure)
    return f"{middle} {unit} ({low} to {high})"


def main() -> None:
    rows = rows_of([str(ROOT / "target" / "release" / "callsheet-bench")])
    rows += rows_of([sys.executable, str(HERE / "bench_python.py")])
    table = [("what", "median (min to max)", "goal", "floor", "floor's median", "ratio")]
    for row in rows:
        ratio = row["figure"][1] / row["floor_figure"][1] if row["floor_figure"] else None
        table.append(
            (
                row["name"],
                shown(row["figure"], row["unit"]),
                row["goal"],
                row["floor"],
                shown(row["floor_figure"], row["unit"]) if row["floor_figure"] else "-",
                f"{ratio:.2f}" if ratio else "-",
            )
        )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for number, line in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


if __name__ == "__main__":
    main()
