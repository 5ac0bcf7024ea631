"""`python tests/faults`: each file and registry in a process of its own, several at once, since they mostly wait."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
AT_ONCE = 5
REGISTRIES = ("etcd", "consul")
LONG = ("test_drops", "test_tokens", "test_rights")
# Seconds that one test may take.
LIMIT = "900" if os.environ.get("CALLSHEET_FAULTS_FULL") else "200"


def main() -> int:
    # What takes longest begins first.
    files = sorted(HERE.glob("test_*.py"), key=lambda file: (file.stem not in LONG, file.name))
    runs = [(file, registry) for file in files for registry in REGISTRIES]
    with ThreadPoolExecutor(AT_ONCE) as processes:
        failed = list(processes.map(_run, *zip(*runs, strict=True)))
    return int(any(failed))


def _run(file: Path, registry: str) -> bool:
    """Whether one file failed on one registry; what it says comes out in one piece."""
    command = [sys.executable, "-m", "pytest", "--quiet", "--no-header", "--timeout", LIMIT]
    command += ["--registry", registry, str(file)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        return False
    print(f"{file.name} on {registry}\n{ran.stdout}", flush=True)
    return ran.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
