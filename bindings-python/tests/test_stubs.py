"""The stubs, the types and the format: the same commands as `make lint`."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import callsheet
from callsheet import _callsheet

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ["mypy"],
        ["mypy.stubtest", "callsheet"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
    ],
    ids=" ".join,
)
def test_lint(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_has_the_docstrings_of_the_module() -> None:
    done = subprocess.run(
        [sys.executable, "stubs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_everything_public_is_documented() -> None:
    undocumented = []
    for name in callsheet.__all__:
        thing = getattr(callsheet, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)):
            continue
        if not inspect.getdoc(thing):
            undocumented.append(name)
        if not inspect.isclass(thing):
            continue
        for member, value in inspect.getmembers(thing):
            ours = value is not getattr(OSError, member, None) and member not in dir(dict)
            public = not member.startswith("_") and ours and not isinstance(value, (str, bool))
            if public and not inspect.getdoc(value):
                undocumented.append(f"{name}.{member}")
    assert not undocumented


def test_classes_say_where_they_are_public() -> None:
    for name in ("Instance", "Snapshot", "Changes", "Watch", "NamesWatch", "Pick", "Check"):
        assert getattr(_callsheet, name).__module__ == "callsheet"
    assert (Path(callsheet.__file__).parent / "py.typed").exists()
