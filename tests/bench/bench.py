"""The table of `make bench`: every figure beside its floor or its peer, measured in the same run.

Usage: bench.py [PART ...]    (pick, rust, node, python, local, etcd, consul, outages, scale; default: all, which also
writes docs/benchmarks.md and its picture)

The ratio is what counts; nanoseconds are of the machine that they were measured on.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# What starts real servers is beside this folder.
sys.path.append(str(Path(__file__).parent.parent))

import languages
import machine
import on_consul
import on_etcd
import outages
import page
import pairs
import picks
import scale
from languages import Language
from rows import ratio, shown
from rows import row as row_of
from servers import binaries

if TYPE_CHECKING:
    from rows import Row

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RELEASE = ROOT / "target" / "release"
BUILT = ROOT / "target" / "bench"

RUST = [str(RELEASE / "callsheet-bench")]
C = [str(BUILT / "c")]
GO = [str(BUILT / "go")]
PYTHON = [sys.executable, str(HERE / "bench_python.py")]
ASYNCIO = [sys.executable, str(HERE / "bench_asyncio.py")]
NODE = ["node", "--expose-gc", str(HERE / "bench_node.js")]

#: Those that print rows of their own.
OWN = {"rust": RUST, "node": NODE, "python": PYTHON}
#: Those with clients of a registry as peers.
BESIDE = {"etcd", "consul"}
#: Those on a server.
SERVERS = {"etcd": on_etcd.rows, "consul": on_consul.rows, "outages": outages.rows, "scale": scale.rows}
PARTS = ["pick", *OWN, "local", *SERVERS]
LANGUAGES = [
    Language("Rust", RUST),
    Language("C", C),
    Language("Go", GO, arrival="receive", time_of_day=True),
    Language("Python", PYTHON),
    Language("asyncio", ASYNCIO),
    Language("Node", NODE),
]


def need_everything(parts: list[str]) -> None:
    """Stops when something is not there that a part is made of, and says what makes it."""
    shared = "libcallsheet.dylib" if sys.platform == "darwin" else "libcallsheet.so"
    there = {
        "the Rust part (cargo build --release --locked -p callsheet-bench)": Path(RUST[0]).exists(),
        "the Python package (make setup)": importlib.util.find_spec("callsheet") is not None,
        "the npm package (make setup)": (ROOT / "bindings-node" / "callsheet.node").exists(),
        "the C library (make setup)": (RELEASE / shared).exists() and (RELEASE / "libcallsheet.a").exists(),
        "a C compiler, as cc (install gcc or clang)": shutil.which("cc") is not None,
        "Go (install Go 1.24 or newer)": shutil.which("go") is not None,
        "Node.js (install Node.js 20.9 or newer)": shutil.which("node") is not None,
    }
    if {"etcd", "outages", "scale"} & set(parts):
        there |= {
            "etcd (make servers)": binaries.etcd().exists(),
        }
    if {"consul", "outages", "scale"} & set(parts):
        there["Consul (make servers)"] = binaries.consul().exists()
    if BESIDE.intersection(parts):
        there |= {
            "the peers in Python (make bench)": Path(pairs.PYTHON).exists(),
            "the peers in Node (make bench)": (HERE / "peers" / "node_modules").exists(),
        }
    missing = [what for what, is_there in there.items() if not is_there]
    if missing:
        sys.exit("the benchmark needs what is not there: " + "; ".join(missing))


def run(what: str, command: list[str]) -> str:
    """What a command prints."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if result.returncode != 0:
        sys.exit(f"{what} failed with {result.returncode}:\n{result.stderr}")
    return result.stdout


def build(parts: list[str]) -> None:
    """Compiles what is written in C and Go; the others were built by `make`."""
    BUILT.mkdir(parents=True, exist_ok=True)
    include = str(ROOT / "bindings-c" / "include")
    library = ["-L", str(RELEASE), "-lcallsheet", f"-Wl,-rpath,{RELEASE}", "-pthread"]
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    run("compiling the C part", ["cc", *strict, "-I", include, str(HERE / "bench_c.c"), "-o", *C, *library])
    Path(*GO).unlink(missing_ok=True)  # Go would keep one that was linked with an older library
    run("building the Go part", ["go", "build", "-C", str(HERE / "go"), "-o", *GO, "."])
    if BESIDE.intersection(parts):
        module = str(HERE / "peers" / "go")
        run("building the peers in Go", ["go", "build", "-C", module, "-o", pairs.GO, "."])
    if "pick" in parts:
        module = str(HERE / "peers" / "pickers")
        run("building the pickers in Go", ["go", "build", "-C", module, "-o", picks.GO, "."])


def measured(part: str) -> list[Row]:
    """The rows of a part; those that are in one language print them, a JSON object each."""
    print(f"measuring {part} ...", file=sys.stderr)
    if part == "pick":
        return list(picks.rows(LANGUAGES))
    if part == "local":
        with tempfile.TemporaryDirectory() as folder:
            return list(languages.rows(LANGUAGES, Path(folder)))
    if part in SERVERS and not Path("/proc/self/fd").exists():
        # What a process spends and holds is read from there.
        return [row_of(part, "", "measured on Linux only")]
    if part in SERVERS:
        return list(SERVERS[part](LANGUAGES))
    lines = run(f"the part {part}", OWN[part]).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def printed(rows: list[Row]) -> None:
    """The table."""
    table = [("what", "median (min to max)", "goal", "beside", "its median", "ratio")]
    for row in rows:
        unit, of = row["unit"], ratio(row)
        beside = shown(row["floor_figure"], unit)
        cells = (row["name"], shown(row["figure"], unit), row["goal"], row["floor"], beside)
        table.append((*cells, "-" if of is None else f"{of:.2f}"))
    # Texts are as long as they are.
    texts = {row["name"] for row in rows if isinstance(row["figure"], str)}
    widths = [
        max(len(line[column]) for line in table if line[0] not in texts) for column in range(len(table[0]))
    ]
    for number, line in enumerate(table):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def main(asked: list[str]) -> None:
    if unknown := [part for part in asked if part not in PARTS]:
        sys.exit(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    parts = [part for part in PARTS if not asked or part in asked]
    need_everything(parts)
    build(parts)
    rows = {part: measured(part) for part in parts}
    on = machine.described(with_servers=bool(SERVERS.keys() & set(parts)))
    print(f"{on}\n")
    printed([row for of in rows.values() for row in of])
    if not asked and Path("/proc/self/fd").exists():
        # Scale has a page of its own.
        page.write([row for part, of in rows.items() if part != "scale" for row in of], on)


if __name__ == "__main__":
    main(sys.argv[1:])
