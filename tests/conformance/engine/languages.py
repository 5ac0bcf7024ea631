"""The languages of the matrix, and how the driver of each is built and started."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from dataclasses import dataclass

CONFORMANCE = pathlib.Path(__file__).resolve().parent.parent
ROOT = CONFORMANCE.parent.parent
TARGET = ROOT / "target" / "conformance"


@dataclass(frozen=True)
class Language:
    """One language: the source of its driver, the words that start it, the words that build it."""

    name: str
    source: str
    command: tuple[str, ...]
    build: tuple[str, ...] = ()
    #: Its requests are `key=value` between tabs instead of JSON.
    flat: bool = False

    @property
    def present(self) -> bool:
        """Whether there is a driver, so that results are expected."""
        return (CONFORMANCE / self.source).exists()

    def built(self) -> str | None:
        """Build the driver; what went wrong, if something did."""
        if not self.build:
            return None
        TARGET.mkdir(parents=True, exist_ok=True)
        # Go would keep one that was linked with an older library.
        pathlib.Path(self.command[0]).unlink(missing_ok=True)
        done = subprocess.run(self.build, cwd=ROOT, capture_output=True, text=True)
        return f"its driver can't be built:\n{done.stdout}{done.stderr}" if done.returncode else None


C_SOURCES = sorted(str(path) for path in (CONFORMANCE / "c").glob("*.c"))
LANGUAGES = {
    language.name: language
    for language in [
        Language("python", "python/driver.py", (sys.executable, f"{CONFORMANCE}/python/driver.py")),
        Language("asyncio", "asyncio/driver.py", (sys.executable, f"{CONFORMANCE}/asyncio/driver.py")),
        Language("node", "node/driver.js", ("node", f"{CONFORMANCE}/node/driver.js")),
        Language(
            "c",
            "c/driver.c",
            (f"{TARGET}/driver-c",),
            build=(
                *("cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g", *C_SOURCES),
                *("-Ibindings-c/include", f"-L{ROOT}/target/release", f"-Wl,-rpath,{ROOT}/target/release"),
                *("-lcallsheet", "-lpthread", "-o", f"{TARGET}/driver-c"),
            ),
            flat=True,
        ),
        Language(
            "go",
            "go/driver.go",
            (f"{TARGET}/driver-go",),
            build=("go", "build", "-C", f"{CONFORMANCE}/go", "-o", f"{TARGET}/driver-go", "."),
        ),
    ]
}
#: Who also runs under the rights of the guides, where no registries are named. The core needs them, whoever calls it.
UNDER_RIGHTS = ("python", "go")


def expected() -> list[str]:
    """Every language that must have results: Rust, whose runner is its own, and each one with a driver."""
    return ["rust", *(name for name, language in LANGUAGES.items() if language.present)]
