"""Runs each fuzzer for a while: `python fuzz/run.py --seconds 20`; `make fuzz SECONDS=20` is the same.

Sanitizers are off, as what is fuzzed is safe Rust, so that any toolchain will do; debug assertions are on. What is
found on the way stays in target/fuzz; --keep puts into fuzz/corpus what of it reaches code that nothing there reaches.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.resolve()
BUILT = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")).resolve() / "fuzz"
TOOLS = Path(os.environ.get("CALLSHEET_CACHE") or Path.home() / ".cache" / "callsheet").resolve() / "tools"
CARGO_FUZZ = "0.13.2"
TARGETS = sorted(path.stem for path in (HERE / "fuzz_targets").glob("*.rs"))

#: Of one input: how many bytes, seconds and megabytes it may take.
BOUNDS = ["-max_len=8192", "-timeout=5", "-rss_limit_mb=1024", "-malloc_limit_mb=256"]

#: Inputs of one target that are committed.
MOST = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=20, help="for each (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="put what is new and worth it into fuzz/corpus")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(unknown)}")
    build()
    crashed = [target for target in arguments.targets or TARGETS if not fuzz(target, arguments.seconds)]
    if arguments.keep:
        for target in arguments.targets or TARGETS:
            keep(target)
    return 1 if crashed else 0


def build() -> None:
    """All fuzzers, by cargo-fuzz, which is built once into the cache."""
    tool = TOOLS / "bin" / "cargo-fuzz"
    # A toolchain's own cargo says of which version its subcommand is.
    if not tool.exists() or CARGO_FUZZ not in subprocess.check_output([tool, "--version"], text=True):
        print(f"building cargo-fuzz {CARGO_FUZZ} (once) ...", flush=True)
        quietly("cargo", "install", "--locked", "--root", str(TOOLS), f"cargo-fuzz@{CARGO_FUZZ}")
    print("building the fuzzers (minutes the first time) ...", flush=True)
    path = f"{tool.parent}{os.pathsep}{os.environ['PATH']}"
    quietly("cargo", "fuzz", "build", "--sanitizer", "none", "--target-dir", str(BUILT), PATH=path)


def quietly(*command: str, **environment: str) -> None:
    result = subprocess.run(
        command,
        cwd=HERE,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if result.returncode:
        sys.exit(f"{result.stdout}\n{' '.join(command)} failed")


def found(target: str) -> Path:
    """Where a target's fuzzer keeps what it finds, beside what is committed."""
    folder = BUILT / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(target: str, *arguments: str) -> tuple[int, str]:
    """A fuzzer's exit status, and what it said."""
    crashes = BUILT / "crashes" / target
    crashes.mkdir(parents=True, exist_ok=True)
    (binary,) = BUILT.glob(f"*/release/{target}")
    command = [str(binary), *BOUNDS, f"-artifact_prefix={crashes}/", *arguments]
    result = subprocess.run(
        command, text=True, errors="replace", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return result.returncode, result.stderr


def fuzz(target: str, seconds: int) -> bool:
    """Prints one line of figures. False: something crashed, and where it is was said."""
    began = time.monotonic()
    status, said = run(
        target,
        f"-max_total_time={seconds}",
        "-print_final_stats=1",
        str(found(target)),
        str(HERE / "corpus" / target),
    )
    took = time.monotonic() - began

    def figure(name: str) -> int:
        match = re.search(rf"^stat::{name}:\s+(\d+)$", said, re.MULTILINE)
        return int(match[1]) if match else 0

    runs, new = figure("number_of_executed_units"), figure("new_units_added")
    crash = re.search(r"Test unit written to (.+)", said)
    print(
        f"{target:8} {runs:12,} runs {runs / took:10,.0f} a second {new:6,} new inputs  {1 if status else 0} crashes",
        flush=True,
    )
    if status:
        end = said[-3000:]
        where = f"the input is in {crash[1]}" if crash else "without an input"
        print(
            f"{end}\n{target} crashed, {where}: mend it, and put it into fuzz/corpus/{target}",
            file=sys.stderr,
        )
    return status == 0


def keep(target: str) -> None:
    """Fills what is committed with what reaches most that nothing there reaches, as far as there is room."""
    committed = HERE / "corpus" / target
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(shutil.copytree(committed, folder, dirs_exist_ok=True))
        known = {path.name for path in merged.iterdir()}
        coverage = ["-set_cover_merge=1", "-use_counters=0", "-use_cmp=0"]
        run(target, *coverage, str(merged), str(found(target)))
        # They are written in the order of what they add.
        new = sorted(
            (path for path in merged.iterdir() if path.name not in known),
            key=lambda path: path.stat().st_mtime_ns,
        )
        for path in new[: max(0, MOST - len(known))]:
            shutil.copy(path, committed)


if __name__ == "__main__":
    sys.exit(main())
