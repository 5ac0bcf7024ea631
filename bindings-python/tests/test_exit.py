"""The end of the interpreter: clients are closed within a second, and nothing hangs or crashes, whatever runs."""

from __future__ import annotations

import time

import pytest

from conftest import run_script

#: One second is promised; starting an interpreter counts too.
LIMIT = 6.0

CLEAN = {
    "an open client": "",
    "a registration": 'registration = client.register("billing", 80)',
    "a watch": 'watch = client.watch("billing"); next(watch)',
    "a thread in next": """
def read():
    for snapshot in client.watch("billing"):
        began.set()
threading.Thread(target=read, daemon=True).start()
began.wait(10)
""",
    "a thread in next, and the watch of names": """
def read():
    for names in client.watch_services():
        began.set()
threading.Thread(target=read, daemon=True).start()
began.wait(10)
""",
    "threads in every wait": """
memory = callsheet.memory.Memory("exit")
calls = [
    lambda: client.wait_for("nobody"),
    lambda: client.picker("nobody").pick(timeout=1000),
    lambda: client.register("x", 1, ready=False).wait("registered"),
    lambda: [began.set() for _ in client.watch("x")],
]
def waiting(call):
    try:
        call()
    except callsheet.Closed:
        pass
for call in calls:
    threading.Thread(target=waiting, args=(call,), daemon=True).start()
began.wait(10)
""",
    "a callback": """
client.on_change("billing", lambda snapshot: began.set())
began.wait(10)
""",
    "a callback that sleeps": """
def sleeping(snapshot):
    began.set()
    time.sleep(1000)
client.on_change("billing", sleeping)
began.wait(10)
""",
    "a callback that computes": """
def computing(snapshot):
    began.set()
    while True:
        client.lookup("billing")
client.on_change("billing", computing)
began.wait(10)
""",
    "a callback that waits": """
def waiting(snapshot):
    began.set()
    client.wait_for("nobody")
client.on_change("billing", waiting)
began.wait(10)
""",
    "a callback in a storm of changes": """
client.on_change("billing", lambda snapshot: began.set())
registration = client.register("billing", 80)
def churn():
    try:
        for weight in range(1, 60000):
            registration.update(weight=weight)
    except callsheet.Closed:
        pass
threading.Thread(target=churn, daemon=True).start()
began.wait(10)
""",
    "a state callback": 'client.register("billing", 80, on_state=lambda state: began.set()); began.wait(10)',
    "the log at full speed": """
import logging
logging.basicConfig(level=1, stream=open("/dev/null", "w"))
for number in range(20):
    other = callsheet.connect("memory:exit")
    memory = callsheet.memory.Memory("exit")
    other.watch("billing")
    memory.unreachable(); memory.unreachable(False)
""",
    "a pick and a picker": """
client.register("billing", 80)
picker = client.picker("billing")
pick = picker.pick()
""",
    "a cycle of references": """
client.me = None if False else None
holder = {"client": client}
client.on_change("billing", lambda snapshot: holder)
holder["holder"] = holder
""",
    "things kept in builtins": """
import builtins
builtins.kept = [client, client.watch("billing"), client.register("billing", 80), client.lookup("billing")]
""",
    "a failed import of main": "del callsheet, client",
}
CLEAN["a cycle of references"] = CLEAN["a cycle of references"].replace(
    "client.me = None if False else None\n", ""
)

START = """
import sys, threading, time
import callsheet
began = threading.Event()
client = callsheet.connect("memory:exit")
"""


@pytest.mark.parametrize("name", CLEAN)
def test_the_interpreter_ends(name: str) -> None:
    began = time.monotonic()
    done = run_script(START + CLEAN[name] + '\nprint("end", flush=True)\n')
    assert done.stdout.endswith("end\n"), done.stderr
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stderr == ""
    assert time.monotonic() - began < LIMIT


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise SystemExit(3)", "threading.main_thread(); exit(3)"])
def test_the_exit_status_is_the_programs(ending: str) -> None:
    done = run_script(START + 'client.register("billing", 80)\nnext(client.watch("billing"))\n' + ending)
    assert done.returncode == 3, done.stderr


def test_what_is_open_is_withdrawn() -> None:
    done = run_script(
        START
        + """
import atexit
registration = client.register("billing", 80)
memory = callsheet.memory.Memory("exit")
# Registered before callsheet was imported, this would run after it: so look from inside.
from callsheet import _exit
def look():
    assert client.closed and registration.state == "closed", registration.state
    print("withdrawn")
atexit.unregister(_exit._close_all)
atexit.register(look)
atexit.register(_exit._close_all)
"""
    )
    assert done.stdout == "withdrawn\n", done.stderr


def test_a_thread_that_is_no_daemon_ends_when_its_client_is_closed() -> None:
    done = run_script(
        START
        + """
def read():
    began.set()
    for snapshot in client.watch("billing"):
        pass
    print("ended", flush=True)
threading.Thread(target=read).start()
began.wait(10)
threading.Timer(0.1, client.close).start()
"""
    )
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_connecting_at_exit() -> None:
    done = run_script(
        START
        + """
import atexit
def late():
    with callsheet.connect("memory:late") as late_client:
        late_client.register("billing", 80)
        print(len(late_client.lookup("billing")))
atexit.register(late)
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
