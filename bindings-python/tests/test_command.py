"""The command line that comes with the package: `callsheet` and `python -m callsheet`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import callsheet
from conftest import eventually

SCRIPT = [str(Path(sysconfig.get_path("scripts")) / "callsheet")]
MODULE = [sys.executable, "-m", "callsheet"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "CALLSHEET_URL": f"local://{tmp_path}/registry.db"}


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])
def test_it_lists_what_the_library_registers(command: list[str], environment: dict[str, str]) -> None:
    with callsheet.connect(environment["CALLSHEET_URL"]) as client, client.register("billing", 8080):
        done = run([*command, "list", "billing", "--json"], environment)
        assert done.returncode == 0, done.stderr
        assert "8080" in json.dumps(json.loads(done.stdout.splitlines()[0]))
    assert run([*command, "list", "--nonsense"], environment).returncode == 2
    assert run([*command, "--version"], environment).stdout == "callsheet 0.1.0\n"
    # What the command says is never a traceback.
    wrong = run([*command, "--registry", "zookeeper:", "list"], environment)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


PROGRAM = """
import signal, socket, sys
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: sys.exit(7))
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_a_program_registered(environment: dict[str, str], number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    command = [*MODULE, "run", "billing", "--port", port, "--", sys.executable, "-c", PROGRAM, port]
    with callsheet.connect(environment["CALLSHEET_URL"]) as client:
        process = subprocess.Popen(command, env=environment)
        try:
            client.wait_for("billing", timeout=20)
            process.send_signal(number)
            assert process.wait(20) == 7
        finally:
            process.kill()
            process.wait()
        eventually(lambda: len(client.lookup("billing")) == 0)


def test_ctrl_c_ends_a_watch(environment: dict[str, str]) -> None:
    with callsheet.connect(environment["CALLSHEET_URL"]) as client, client.register("billing", 8080):
        process = subprocess.Popen(
            [*MODULE, "watch", "billing"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_registers_until_it_is_told_to_end(environment: dict[str, str], number: signal.Signals) -> None:
    command = [*MODULE, "register", "billing", "--address", "10.0.0.7", "--port", "5432"]
    with callsheet.connect(environment["CALLSHEET_URL"]) as client:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("registered billing/10.0.0.7:5432 in ")
            assert client.wait_for("billing", timeout=20)[0].port == 5432
            process.send_signal(number)
            assert process.wait(20) == 0
            assert process.stdout.read() == "closed billing/10.0.0.7:5432\n"
        finally:
            process.kill()
            process.communicate()
        eventually(lambda: len(client.lookup("billing")) == 0)


def test_its_doctor_finds_nothing_wrong(environment: dict[str, str]) -> None:
    done = run([*MODULE, "doctor", "--json"], environment)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "all is well"
    assert {"registry", "file", "database", "services"} <= {
        finding["topic"] for finding in report["findings"]
    }
