"""The programs of the documentation run as written."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import callsheet

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_provider_and_consumer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both in this process, since a registry in memory is this process's own."""
    monkeypatch.setenv("CALLSHEET_URL", "memory:examples")
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    failed: list[BaseException] = []

    def consume() -> None:
        try:
            with callsheet.connect() as client:
                client.wait_for("billing", timeout=20)
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
                runpy.run_path(str(EXAMPLES / "consumer.py"))
        except BaseException as error:
            failed.append(error)
            os.kill(os.getpid(), signal.SIGTERM)

    consumer = threading.Thread(target=consume)
    consumer.start()
    try:
        runpy.run_path(str(EXAMPLES / "provider.py"))
        consumer.join(20)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    assert not failed
    printed = capsys.readouterr().out
    assert "serving http://127.0.0.1:" in printed
    assert "{'team': 'pay'}" in printed
    assert "paid\npaid\n" in printed
    assert "1 live" in printed
    assert printed.rstrip().splitlines()[-1].endswith("[]")


def complained(errors: str) -> list[str]:
    """What Python's development mode complains of, but for steps that took long, as they do where much else runs."""
    return [line for line in errors.splitlines() if not line.startswith("Executing <")]


def test_provider_and_consumer_on_asyncio(tmp_path: Path) -> None:
    """Each in a process of its own."""
    environment = {**os.environ, "CALLSHEET_URL": f"local://{tmp_path}/registry.db"}

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-X", "dev", str(EXAMPLES / name)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    with start("aio_provider.py") as provider, start("aio_consumer.py") as consumer:
        try:
            assert provider.stdout is not None
            assert consumer.stdout is not None
            assert provider.stdout.readline().startswith("serving http://127.0.0.1:")
            seen = [consumer.stdout.readline() for _ in range(4)]
            provider.send_signal(signal.SIGTERM)
            output, complaints = consumer.communicate(timeout=30)
            seen += output.splitlines(keepends=True)
            assert complained(complaints) == []
            assert provider.wait(30) == consumer.returncode == 0
        finally:
            provider.kill()
            consumer.kill()
        assert provider.stderr is not None
        assert complained(provider.stderr.read()) == []
    assert "{'team': 'pay'}" in seen[0]
    assert seen[1:3] == ["paid\n", "paid\n"]
    assert seen[-1].endswith("[]\n")
