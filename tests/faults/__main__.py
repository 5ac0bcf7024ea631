"""`python tests/faults`: all of them, each file in a process of its own and several at once, since they mostly wait."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
AT_ONCE = 5


def main() -> int:
    files = sorted(HERE.glob("test_*.py"))
    with ThreadPoolExecutor(AT_ONCE) as processes:
        failed = list(processes.map(_run, files))
    return int(any(failed))


def _run(file: Path) -> bool:
    """Whether one file failed; what it says comes out in one piece."""
    command = [sys.executable, "-m", "pytest", "--quiet", "--no-header", "--timeout", "200", str(file)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(f"{file.name}\n{ran.stdout}", flush=True)
    return ran.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
