"""One server process: its command, its log, and the signals that it gets."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .warden import warden

STOP_DEADLINE = 20.0


class StartFailed(Exception):
    """A server did not start; says the end of its log."""


class Process:
    """Not started yet; may be started again after each end, with the same command and log."""

    def __init__(self, name: str, command: Sequence[object], log: Path) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self.paused = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def running(self) -> bool:
        """Also when paused."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        self._reap()
        # etcd takes each option from there, too, and Consul some.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("ETCD", "CONSUL"))
        }
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        warden.guard(self._child.pid)

    def stop(self) -> None:
        """SIGTERM, and until it has ended; SIGKILL when that takes too long."""
        if self._child is None:
            return
        self._child.terminate()
        if self.paused:
            self.resume()
        try:
            self._child.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._reap()

    def kill(self) -> None:
        """SIGKILL, and until it has ended."""
        if self._child is None:
            return
        self._child.kill()
        self._reap()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        if self._child is None or not self.running:
            raise RuntimeError(f"{self.name} is not running; the end of its log:\n{self.tail()}")
        self._child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        if self._child is not None:
            self._child.send_signal(signal.SIGCONT)
        self.paused = False

    def tail(self, lines: int = 20) -> str:
        """The end of the log since the last start, without what a fixture's own questions left there."""
        said = [line for line in self._logged().splitlines() if "/health" not in line]
        return "\n".join(said[-lines:])

    def start_failed(self, why: str) -> StartFailed:
        return StartFailed(f"{self.name} {why}; the end of its log:\n{self.tail()}")

    @property
    def port_was_taken(self) -> bool:
        """That is why it ended: other ports are worth a try."""
        return not self.running and "address already in use" in self._logged()

    def _logged(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait()
            warden.release(self._child.pid)
        self._child = None
        self.paused = False
