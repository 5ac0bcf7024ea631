"""Several registries at once: a process for each, with one seed, and one table of what they came to."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from .figures import Figures, table


def together(registries: Sequence[str], seed: int, seconds: float) -> int:
    width = max(map(len, registries))
    with TemporaryDirectory() as folder:
        runs = [Run(name, width, seed, seconds, Path(folder) / f"{name}.json") for name in registries]
        statuses = [run.wait() for run in runs]
        print(f"\n{table([run.figures for run in runs])}\n")
    for name, status in zip(registries, statuses, strict=True):
        print(f"{name} {'FAILED: see above' if status else 'passed'}", flush=True)
    return max(statuses)


class Run:
    """One of them. What it prints is printed with its name."""

    def __init__(self, registry: str, width: int, seed: int, seconds: float, path: Path) -> None:
        self._registry = registry
        self._prefix = f"{registry:{width}} | "
        self._path = path
        program = [sys.executable, str(Path(__file__).parent), "--registry", registry]
        self._child = subprocess.Popen(
            [*program, "--seconds", f"{seconds:g}", "--seed", str(seed), "--figures", str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait(self) -> int:
        """Its exit status, 0 or 1."""
        status = self._child.wait()
        self._reader.join()
        return int(status != 0)

    @property
    def figures(self) -> Figures:
        return Figures.load(self._path) if self._path.exists() else Figures(self._registry, problems=1)

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            print(self._prefix + line, end="", flush=True)
