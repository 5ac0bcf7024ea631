"""The programs of the documentation run as written."""

from __future__ import annotations

import os
import runpy
import signal
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
