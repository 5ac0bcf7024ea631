"""A child that waits for its pipe to close, which it does however the process of the tests ends, SIGKILL included; it
then kills the servers that are left and removes their folders. (PR_SET_PDEATHSIG would kill them with a thread.)
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path


class Warden:
    """What this process has to have ended and removed after it. Started with the first server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        os.register_at_fork(after_in_child=self._forked)
        atexit.register(self._close)

    def guard(self, what: int | Path) -> None:
        """From now on, a process or a folder is to go when this process goes."""
        self._tell(f"+{what}\n")

    def release(self, what: int | Path) -> None:
        """It is gone already."""
        self._tell(f"-{what}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._child is None:
                # A session of its own: Ctrl-C is for the tests, and must not take the warden first.
                command = [sys.executable, "-I", "-S", __file__]
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    bufsize=0,
                    start_new_session=True,
                )
            assert self._child.stdin is not None
            self._child.stdin.write(line.encode())

    def _close(self) -> None:
        if self._child is not None:
            self._child.communicate()

    def _forked(self) -> None:
        # It is the parent's. An open pipe would keep it from its work as long as the fork lives.
        child, self._child, self._lock = self._child, None, threading.Lock()
        if child is not None and child.stdin is not None:
            child.stdin.close()
            child.returncode = 0


def main() -> None:
    guarded: set[str] = set()
    for line in sys.stdin:
        verb, what = line[0], line[1:-1]
        if verb == "+":
            guarded.add(what)
        else:
            guarded.discard(what)
    for pid in (what for what in guarded if what.isdigit()):
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    for folder in (what for what in guarded if not what.isdigit()):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
else:
    warden = Warden()
