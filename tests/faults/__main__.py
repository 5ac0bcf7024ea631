"""`python tests/faults`: all of them, each file in a process of its own and several at once, since they mostly wait."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
AT_ONCE = 5
# Seconds that one test may take.
LIMIT = "900" if os.environ.get("CALLSHEET_FAULTS_FULL") else "200"


def main() -> int:
    files = sorted(HERE.glob("test_*.py"))
    with ThreadPoolExecutor(AT_ONCE) as processes:
        failed = list(processes.map(_run, files))
    return int(any(failed))


def _run(file: Path) -> bool:
    """Whether one file failed; what it says comes out in one piece."""
    command = [sys.executable, "-m", "pytest", "--quiet", "--no-header", "--timeout", LIMIT, str(file)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(f"{file.name}\n{ran.stdout}", flush=True)
    return ran.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
