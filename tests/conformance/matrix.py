"""Print the conformance matrix, language x registry x scenario, from the lines that the runs left.

Usage: matrix.py [FOLDER]    (default: target/conformance in the repository's root)

Ends with 1 when a scenario failed, was not run, or a language that has a driver has no results: none at all, or none of
a registry that another language has some of, but for those that only some have to run on.
"""

from __future__ import annotations

import collections
import itertools
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "engine")]

import languages  # noqa: E402
import registries  # noqa: E402

#: In the order in which they are shown.
REGISTRIES = ("memory", "local", "etcd", "etcd-roles", "consul", "consul-policies")
NAME = 80
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
    columns_seen = {column for column, _, _ in last}
    ran, seen = ({column.split()[at] for column in columns_seen} for at in (0, 1))
    columns = [
        f"{name} {registry}"
        for name in sorted(ran)
        for registry in REGISTRIES
        if registry in seen and (f"{name} {registry}" in columns_seen or wanted(name, registry))
    ]
    counts = {column: collections.Counter() for column in columns}
    reasons, promises = collections.Counter(), collections.Counter()
    failures = [
        f"FAILED {name}: it has no results at all" for name in languages.expected() if name not in ran
    ]
    for path in sorted((HERE / "scenarios").glob("*.json")):
        languages_row, registries_row = heads(columns)
        print(f"\n{path.stem:<{NAME}}{languages_row}\n{'':<{NAME}}{registries_row}")
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
                cells.append(sign)
            print(f"  {scenario['name']:<{NAME - 2}}{row(columns, cells)}")
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


def wanted(language: str, registry: str) -> bool:
    """Whether a language must have results on a registry that some have results on."""
    return registry not in registries.UNDER_RIGHTS or language in languages.UNDER_RIGHTS


def row(columns: list[str], cells: list[str]) -> str:
    """Each cell under the registry of its column."""
    groups: dict[str, str] = {}
    for column, cell in zip(columns, cells, strict=True):
        language, registry = column.split()
        groups[language] = groups.get(language, "") + f"{cell:<{len(registry)}} "
    return "  ".join(groups.values()).rstrip()


def heads(columns: list[str]) -> list[str]:
    """The languages, each above its registries."""
    languages = itertools.groupby(columns, lambda column: column.split()[0])
    widths = [(name, sum(len(column.split()[1]) + 1 for column in its)) for name, its in languages]
    registries = [column.split()[1] for column in columns]
    return ["  ".join(f"{name:<{width}}" for name, width in widths).rstrip(), row(columns, registries)]


def order(item: tuple[str, int]) -> tuple[str, int]:
    """By name, and the numbers in it as numbers."""
    name = item[0].rstrip("0123456789")
    return name, int(item[0][len(name) :] or 0)


if __name__ == "__main__":
    target = HERE.parent.parent / "target" / "conformance"
    sys.exit(main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else target))
