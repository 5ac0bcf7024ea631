"""The tests that are written in C: each alone under the address and undefined behaviour sanitizers, and each file as a
whole under valgrind, which sees into the library as well."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from conftest import C11, CXX17, SANITIZED, SHARED, STATIC, Programs, run

HERE = Path(__file__).parent
SOURCES = sorted(HERE.glob("test_*.c"))
TESTS = [
    (source, name) for source in SOURCES for name in re.findall(r"^TEST\((\w+)\)", source.read_text(), re.M)
]
# These do their work through a registry, and hold on each.
ON_EVERY_REGISTRY = {"test_api.c", "test_calls.c", "test_descriptors.c"}
CASES = [
    pytest.param(source, name, registry, id=f"{source.stem.removeprefix('test_')}-{name}-{registry}")
    for source, name in TESTS
    for registry in (["memory", "local"] if source.name in ON_EVERY_REGISTRY else ["memory"])
]


@pytest.mark.parametrize(("source", "name", "registry"), CASES)
def test_sanitized(source: Path, name: str, registry: str, programs: Programs, tmp_path: Path) -> None:
    program = programs.compile(source, f"{source.stem}-sanitized", [*C11, *SANITIZED], SHARED)
    url = "memory:" if registry == "memory" else f"local://{tmp_path}/registry.db"
    # The sanitizer's own memory grows too, so the sizes are looked at without it, below.
    run(program, name, TEST_URL=url, TEST_CYCLES="500")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem.removeprefix("test_"))
def test_valgrind(source: Path, programs: Programs) -> None:
    assert shutil.which("valgrind"), "these tests need valgrind"
    program = programs.compile(source, source.stem, [*C11, "-g"], SHARED)
    # A forked child leaks its parent's objects on purpose.
    leaks = "no" if source.name == "test_fork.c" else "full"
    run(
        "valgrind",
        "-q",
        # Its threads take turns; without this a busy one can keep the others out for minutes.
        "--fair-sched=yes",
        "--error-exitcode=99",
        f"--leak-check={leaks}",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
        program,
        TEST_CYCLES="20",
    )


@pytest.mark.parametrize("name", re.findall(r"^TEST\((\w+)\)", (HERE / "test_cycles.c").read_text(), re.M))
def test_ten_thousand_cycles_leave_nothing(name: str, programs: Programs) -> None:
    run(programs.compile(HERE / "test_cycles.c", "test_cycles", [*C11, "-g"], SHARED), name)


@pytest.mark.parametrize("link", [SHARED, STATIC], ids=["shared", "static"])
def test_the_header_in_cxx17_with_every_initialiser(link: list[str], programs: Programs) -> None:
    name = "initialisers" + ("-static" if link is STATIC else "")
    run(programs.compile(HERE / "initialisers.cpp", name, CXX17, link))


def test_the_header_in_strict_c11_alone(programs: Programs, tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text("#include <callsheet.h>\nint main(void) { return (int)callsheet_abi_version(); }\n")
    run(
        programs.compile(
            source, "alone", ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"], STATIC
        )
    )
