"""Several processes on one `local:` registry: what a fork, an exit and a crash leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import callsheet
from conftest import eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"local://{tmp_path}/registry.db"


@pytest.fixture
def observer(url: str) -> Iterator[callsheet.Client]:
    with callsheet.connect(url) as client:
        yield client


def ids(client: callsheet.Client, service: str) -> list[str]:
    return [instance.id for instance in client.lookup(service)]


def start(script: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "CALLSHEET_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_normal_exit_withdraws(url: str, observer: callsheet.Client) -> None:
    script = """
import callsheet, sys
kept = callsheet.connect().register("billing", 80)
sys.stdin.read()
"""
    with start(script, url) as process:
        observer.wait_for("billing", timeout=20)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
        # The exit withdrew it before the process was gone: the next look at the registry has nothing.
        with callsheet.connect(url) as late:
            assert ids(late, "billing") == []


def test_a_crash_is_seen(url: str, observer: callsheet.Client) -> None:
    script = """
import callsheet, sys
client = callsheet.connect()
client.register("billing", 80)
sys.stdin.read()
"""
    with start(script, url) as process:
        observer.wait_for("billing", timeout=20)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        # A second is promised.
        eventually(lambda: ids(observer, "billing") == [], 5)


PREFORK = """
import os, signal, sys, threading
import callsheet

client = callsheet.connect()
parent = client.register("billing", 80, id="parent", on_state=lambda state: None)
stop = client.on_change("billing", lambda snapshot: None)
watch = client.watch("billing")
next(watch)
pids = []
for number in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            client.lookup("billing")
        except callsheet.Forked:
            pass
        own = callsheet.connect()
        registration = own.register("billing", 81 + number, id=f"worker-{number}")
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        os.write(1, b"up\\n")
        while not stopped.wait(0.2):
            pass
        sys.exit(0)
    pids.append(pid)
for line in sys.stdin:
    number = int(line)
    os.kill(pids[number], signal.SIGTERM)
    _, status = os.waitpid(pids[number], 0)
    os.write(1, f"left {os.waitstatus_to_exitcode(status)}\\n".encode())
"""


def test_workers_come_and_go_beside_their_parent(url: str, observer: callsheet.Client) -> None:
    workers = ["worker-0", "worker-1", "worker-2"]
    with start(PREFORK, url) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert [process.stdout.readline() for _ in workers] == ["up\n"] * 3
            eventually(lambda: ids(observer, "billing") == ["parent", *workers])
            for number in range(3):
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
                assert process.stdout.readline() == "left 0\n"
                # Its own instance goes with a worker, nobody else's.
                left = ["parent", *workers[number + 1 :]]
                eventually(lambda left=left: ids(observer, "billing") == left)  # type: ignore[misc]
            process.stdin.close()
            assert process.wait(10) == 0
            eventually(lambda: ids(observer, "billing") == [])
        finally:
            process.kill()


SPAWNED = """
import multiprocessing, sys
import callsheet

def work(number, go):
    kept = callsheet.connect().register("billing", 80 + number, id=f"worker-{number}")
    go.wait(30)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with callsheet.connect() as client:
        client.register("billing", 79, id="parent")
        go = context.Event()
        processes = [context.Process(target=work, args=(number, go)) for number in range(2)]
        for process in processes:
            process.start()
        found = client.wait_for("billing", 3, timeout=30)
        print([instance.id for instance in found])
        go.set()
        for process in processes:
            process.join(30)
        for snapshot in client.watch("billing"):
            if len(snapshot) == 1:
                break
        print([instance.id for instance in snapshot], [process.exitcode for process in processes])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_withdraw_when_they_end(url: str, tmp_path: Path, method: str) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), method],
        env={**os.environ, "CALLSHEET_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['parent', 'worker-0', 'worker-1']\n['parent'] [0, 0]\n", done.stderr
    assert "Traceback" not in done.stderr, done.stderr
