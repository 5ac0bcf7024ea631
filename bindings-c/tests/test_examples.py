"""The examples, as processes that find each other, and the guide, whose every snippet is compiled and run."""

from __future__ import annotations

import queue
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import BINDING, C11, ROOT, SANITIZED, SHARED, Programs, run

GUIDE = ROOT / "docs" / "c.md"


def example(programs: Programs, name: str) -> Path:
    return programs.compile(BINDING / "examples" / f"{name}.c", name, [*C11, *SANITIZED], SHARED)


class Started:
    """A program whose lines are waited for."""

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.process.stdout.close()

    def says(self, expected: str, within: float = 20) -> None:
        """Wait for this line, whatever comes before it."""
        line = ""
        while line != expected:
            line = self.lines.get(timeout=within)


@contextmanager
def started(*command: str | Path) -> Iterator[Started]:
    program = Started(*command)
    try:
        yield program
    finally:
        program.process.kill()
        program.reader.join()
        program.process.wait()
        if program.process.stdin:
            program.process.stdin.close()


def test_a_provider_is_followed_and_called(programs: Programs, tmp_path: Path) -> None:
    url = f"local://{tmp_path}/registry.db"
    with (
        started(example(programs, "consumer"), url, "billing", "other") as consumer,
        started(example(programs, "provider"), "billing", "8080", url) as provider,
    ):
        consumer.says("other live:")
        provider.says("registered")
        consumer.says("billing live: http://127.0.0.1:8080")
        with started(example(programs, "callbacks"), "billing", "3", url) as callbacks:
            callbacks.says("calling 127.0.0.1:8080 at 127.0.0.1:8080")
            callbacks.says("no more callbacks")
            assert callbacks.process.wait(20) == 0
        provider.process.send_signal(signal.SIGTERM)
        assert provider.process.wait(20) == 0
        consumer.says("billing live:")
        assert consumer.process.stdin
        consumer.process.stdin.close()
        assert consumer.process.wait(20) == 0


def test_wrong_usage_and_a_wrong_url(programs: Programs) -> None:
    for name, arguments in [("provider", []), ("consumer", ["memory:"]), ("callbacks", ["x"])]:
        ended = subprocess.run(
            [str(example(programs, name)), *arguments], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 2, ended.stderr
        assert ended.stderr.startswith("usage: ")
    ended = subprocess.run(
        [str(example(programs, "consumer")), "memroy:", "billing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "can't connect" in ended.stderr


def test_every_snippet_of_the_guide_runs(programs: Programs, tmp_path: Path) -> None:
    """Its C snippets are one program, in their order; those that begin with an include stand before it."""
    snippets = re.findall(r"^```c\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    top = [snippet for snippet in snippets if snippet.startswith(("#include", "static "))]
    body = [snippet for snippet in snippets if snippet not in top]
    assert len(top) >= 2
    assert len(body) >= 5
    source = tmp_path / "guide.c"
    source.write_text("\n".join([*top, "int main(void) {", *body, "return 0;", "}", ""]))
    run(programs.compile(source, "guide", [*C11, *SANITIZED], SHARED), within=60)


@pytest.mark.parametrize("snippet", re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.M | re.S))
def test_the_commands_of_the_guide_name_what_exists(snippet: str) -> None:
    for target in re.findall(r"make -C bindings-c (\w+)", snippet):
        assert f".PHONY: {target}\n" in (BINDING / "Makefile").read_text()
