"""What the tests share: the library as `build.sh` makes it, and programs compiled against it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINDING = ROOT / "bindings-c"
RELEASE = ROOT / "target" / "release"

STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
C11 = ["gcc", "-std=c11", "-D_GNU_SOURCE", *STRICT]
CXX17 = ["g++", "-std=c++17", *STRICT]
SANITIZED = [
    "-g",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-fno-omit-frame-pointer",
]
SHARED = [f"-L{RELEASE}", "-lcallsheet", f"-Wl,-rpath,{RELEASE}", "-pthread"]
STATIC = [str(RELEASE / "libcallsheet.a"), "-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]


def run(
    *command: str | Path, within: float = 120, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed; what it said is shown when it does not."""
    ended = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
        cwd=cwd,
        env={**os.environ, **variables},
    )
    assert ended.returncode == 0, f"{command[0]} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended


@pytest.fixture(scope="session")
def library() -> Path:
    """The folder of the libraries, built."""
    run(BINDING / "build.sh", within=1800)
    return RELEASE


@pytest.fixture(scope="session")
def programs(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(tmp_path_factory.mktemp("programs"))


class Programs:
    """Programs compiled against the library, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def compile(self, source: Path, name: str, compiler: list[str], link: list[str]) -> Path:
        program = self.folder / name
        if not program.exists():
            run(*compiler, f"-I{BINDING / 'include'}", source, "-o", program, *link)
        return program
