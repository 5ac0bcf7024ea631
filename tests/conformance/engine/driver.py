"""A driver: a process in one language that takes requests one at a time, and a pool of them, since starting costs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from languages import Language

#: What a driver may take to start, and to close what a scenario left open.
PATIENCE = 30
#: The environment of a driver is this one without callsheet's own variables.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("CALLSHEET_")}


class Wrong(Exception):
    """Something else was seen than expected, or the scenario or a driver is wrong."""


class Driver:
    """One running driver."""

    def __init__(self, language: Language, env: dict[str, str] | None = None) -> None:
        self.language, self.rest = language, b""
        self.log = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the driver
        pipe, env = subprocess.PIPE, ENVIRONMENT | (env or {})
        self.process = subprocess.Popen(language.command, env=env, stdin=pipe, stdout=pipe, stderr=self.log)
        # Waits until it has started, so that a step's seconds are the step's own.
        self.reset()

    def reset(self) -> None:
        """Have it close everything and forget it."""
        answer = self.ask({"do": "reset"}, PATIENCE)
        if "ok" not in answer:
            raise Wrong(f"the driver could not reset: {answer}")

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a request. A driver that gives none in `limit` seconds is killed."""
        line = flat(request) if self.language.flat else json.dumps(request)
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
            answer = json.loads(self.line(time.monotonic() + limit))
        except (OSError, ValueError) as error:
            self.kill()
            raise Wrong(f"the driver gave no answer to {line[:200]!r}: {error}; {self.tail()}") from error
        if not isinstance(answer, dict) or not {"ok", "error", "timeout"} & answer.keys():
            raise Wrong(f"the driver answered {str(answer)[:2000]}; {self.tail()}")
        return answer

    def line(self, deadline: float) -> bytes:
        """The next line that it prints."""
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise ValueError("it never ended")
            if not (more := os.read(self.process.stdout.fileno(), 1 << 16)):
                raise ValueError(f"it ended with {self.process.wait()}")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def signal(self, name: str) -> None:
        """Send it a signal, which must be what ends it."""
        number = signal.Signals[f"SIG{name}"]
        self.process.send_signal(number)
        self.ended(-number)

    def exit(self) -> None:
        """Let it end like any program whose work is done."""
        self.process.stdin.close()
        self.ended(0)

    def ended(self, expected: int) -> None:
        """Wait for its end, and look at its status."""
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise Wrong(f"the driver did not end within {PATIENCE} s") from error
        if status != expected:
            raise Wrong(f"the driver should have ended with {expected}, but: {status}; {self.tail()}")

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except OSError:
            pass

    def tail(self) -> str:
        """The end of what it wrote to its standard error."""
        self.log.seek(0)
        text = self.log.read()[-2000:].decode(errors="replace").strip()
        return f"its standard error:\n{text}" if text else "its standard error is empty"


def flat(request: dict[str, Any]) -> str:
    """A request for those who have no JSON: `key=text` or `key:=number` between tabs, keys with dots."""
    return "\t".join(pair for key, value in request.items() for pair in pairs(name(key), value))


def pairs(key: str, value: Any) -> list[str]:
    """One value as the pairs that it takes."""
    if isinstance(value, dict) and value:
        return [pair for inner, its in value.items() for pair in pairs(f"{key}.{name(inner)}", its)]
    if isinstance(value, list) and value:
        return [pair for at, its in enumerate(value) for pair in pairs(f"{key}.{at}", its)]
    if isinstance(value, str):
        return [f"{key}=" + "".join(f"%{ord(c):02X}" if c < " " or c in "%\x7f" else c for c in value)]
    return [f"{key}:={json.dumps(value)}"]


def name(key: str) -> str:
    """One part of a key: letters, digits, `_` and `-` as they are, every other byte as %XX."""
    return urllib.parse.quote(key, safe="").replace(".", "%2E").replace("~", "%7E")


class Pool:
    """The drivers of one language that have nothing to do."""

    def __init__(self, language: Language, cases: int) -> None:
        self.language, self.cases = language, cases
        self.lock, self.idle = threading.Lock(), []
        #: Why none can be had, and why one did not end as it should.
        self.broken: str | None = None
        self.unended: str | None = None
        self.ready = False

    def take(self) -> Driver:
        """A driver that has nothing open."""
        with self.lock:
            if not self.ready:
                self.broken, self.ready = self.language.built(), True
            if self.broken:
                raise Wrong(self.broken)
            if self.idle:
                return self.idle.pop()
        return Driver(self.language)

    def give(self, driver: Driver) -> None:
        """Take one back."""
        with self.lock:
            self.idle.append(driver)

    def done(self) -> None:
        """One case is over. After the last one all drivers end, as any program does."""
        with self.lock:
            self.cases -= 1
            if self.cases:
                return
        for driver in self.idle:
            try:
                driver.exit()
            except Wrong as wrong:
                self.unended = str(wrong)
            finally:
                driver.kill()
