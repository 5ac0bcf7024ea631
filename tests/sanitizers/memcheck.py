"""Programs under valgrind's memcheck, and what it holds against one library in them. An interpreter has errors and
leaks of its own, so only those count that the library has a frame in, be it where memory was made or freed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

LEAK = "Leak_DefinitelyLost"
#: Functions under which memory is lost by no fault of the library's, and why.
KEPT = {
    "PyModule_ExecDef": "the tables of PyO3's types, given away once in a process, whatever is opened",
    "napi_create_external": "Node's own note of a handle, which only V8's heap points to: valgrind can't search that",
    "napi_create_reference": "the same",
    "napi::threadsafe_function::": "24 bytes of the wake-up that a terminated worker gives back: napi-rs forgets them",
}
#: Reads freed memory and leaks as soon as it is loaded.
FAULTY = """
#include <stdlib.h>
__attribute__((constructor)) static void hurt(void) {
    volatile int *gone = malloc(sizeof *gone);
    free((void *)gone);
    if (*gone == 1) exit(1);
    gone = malloc(77);
    gone = 0;
}
"""


@dataclass(frozen=True)
class Fault:
    """An error, or memory that nothing points to any more, with the functions that led to it."""

    kind: str
    text: str


@dataclass(frozen=True)
class Ended:
    """How a program ended, and the faults of the library in it and in its forked children."""

    status: int
    out: str
    err: str
    faults: list[Fault]


def memcheck(
    library: str, *command: str, folder: Path, flags: tuple[str, ...] = (), **variables: str
) -> Ended:
    """Run `command`, whose leaks count as well. A forked child's do not: it leaks its parent's objects on purpose."""
    assert shutil.which("valgrind"), "these tests need valgrind"
    valgrind = [
        "valgrind",
        "-q",
        # Its threads take turns; without this a busy one can keep the others out for minutes.
        "--fair-sched=yes",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--num-callers=40",
        "--keep-debuginfo=yes",
        "--xml=yes",
        f"--xml-file={folder}/%p.xml",
        *flags,
    ]
    process = subprocess.Popen(
        [*valgrind, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    try:
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    faults = [
        fault
        for report in sorted(folder.glob("*.xml"))
        for fault in faults_of(library, report.read_text(errors="replace"))
        if fault.kind != LEAK or report.stem == str(process.pid)
    ]
    return Ended(process.returncode, out, err, faults)


def faults_of(library: str, report: str) -> list[Fault]:
    """Those of `library` in one report, which may be cut off by the end of its process."""
    found = []
    for block in re.findall(r"<error>.*?</error>", report, re.S):
        error = ElementTree.fromstring(block)
        frames = list(error.iter("frame"))
        kind = error.findtext("kind", "")
        functions = " ".join(frame.findtext("fn", "") for frame in frames)
        if kind == LEAK and any(kept in functions for kept in KEPT):
            continue
        if any(library in frame.findtext("obj", "") for frame in frames):
            what = error.findtext("what") or error.findtext("xwhat/text") or ""
            lines = [f"  {frame.findtext('fn', '?')} ({frame.findtext('obj', '?')})" for frame in frames]
            found.append(Fault(kind, "\n".join([what, *lines])))
    return found


def faulty(folder: Path) -> Path:
    """A library with known faults, which shows that such are seen."""
    library = folder / "faulty.so"
    compiler = ["cc", "-g", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(compiler, input=FAULTY, text=True, check=True)
    return library
