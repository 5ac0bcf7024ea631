"""Print the conformance matrix, language x registry x scenario, from the lines that the runs left.

Usage: matrix.py [FOLDER]    (default: target/conformance in the repository's root)

Ends with 1 when a scenario failed, was not run, or a language that has a driver has no results.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "engine"))

import languages  # noqa: E402

PROMISE = r"(?:registration|discovery|field bugs) \d+|^(?:connect|errors|limits|words)\b"
KINDS = ("passed", "skipped", "failed", "missing")


def results(folder: pathlib.Path) -> dict[tuple[str, str, str], dict]:
    """The last result of each language and registry, area and scenario."""
    last = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            result = json.loads(line)
            last[f"{result['language']} {result['registry']}", result["area"], result["scenario"]] = result
    return last


def main(folder: pathlib.Path) -> int:
    """Print it all; the exit status."""
    last = results(folder)
    columns = sorted({column for column, _, _ in last})
    counts = {column: collections.Counter() for column in columns}
    reasons, promises = collections.Counter(), collections.Counter()
    ran = {column.split()[0] for column in columns}
    failures = [
        f"FAILED {name}: it has no results at all" for name in languages.expected() if name not in ran
    ]
    for path in sorted((HERE / "scenarios").glob("*.json")):
        print(f"\n{path.stem:<76}" + "  ".join(columns))
        for scenario in json.loads(path.read_text(encoding="utf-8")):
            promises.update(re.findall(PROMISE, scenario["promise"]))
            cells = []
            for column in columns:
                result = last.get((column, path.stem, scenario["name"]), {"result": "missing", "seconds": 0})
                kind = result["result"]
                counts[column][kind] += 1
                counts[column]["seconds"] += result["seconds"]
                sign = {"passed": "ok", "failed": "FAIL", "missing": "?"}.get(kind, "")
                if kind == "skipped":
                    reasons[result["reason"]] += 1
                    sign = f"- {list(reasons).index(result['reason']) + 1}"
                if kind == "failed":
                    failures.append(f"FAILED {column}: {result['reason']}")
                cells.append(f"{sign:<{len(column)}}")
            print(f"  {scenario['name']:<74}" + "  ".join(cells))
    print("\n" + " " * 22 + "".join(f"{kind:>9}" for kind in (*KINDS, "seconds")))
    for column, count in counts.items():
        print(f"{column:<22}" + "".join(f"{count[kind]:>9}" for kind in KINDS) + f"{count['seconds']:>9.1f}")
    print(
        "\nscenarios by promise: "
        + ", ".join(f"{name} {n}" for name, n in sorted(promises.items(), key=order))
    )
    for number, (reason, times) in enumerate(reasons.items(), 1):
        print(f"skipped - {number}: {reason} ({times} times)")
    print(*failures, sep="\n", end="\n" if failures else "")
    return 1 if failures or not columns or any(count["missing"] for count in counts.values()) else 0


def order(item: tuple[str, int]) -> tuple[str, int]:
    """By name, and the numbers in it as numbers."""
    name = item[0].rstrip("0123456789")
    return name, int(item[0][len(name) :] or 0)


if __name__ == "__main__":
    target = HERE.parent.parent / "target" / "conformance"
    sys.exit(main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else target))
