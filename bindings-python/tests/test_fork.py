"""A child of fork owns nothing of its parent's: it refuses, it leaks, it withdraws nothing, and it works anew."""

from __future__ import annotations

from conftest import run_script

SETUP = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and newer warn of any fork beside threads
import callsheet

client = callsheet.connect("memory:fork")
told = threading.Event()
registration = client.register("billing", 80, on_state=lambda state: told.set())
assert told.wait(10)
changes = []
changed = threading.Event()
def on_change(snapshot):
    changes.append(snapshot)
    changed.set()
stop = client.on_change("billing", on_change)
assert changed.wait(10)
watch = client.watch("billing")
snapshot = next(watch)
names = client.watch_services()
picker = client.picker("billing")
pick = picker.pick()
reader = threading.Thread(target=lambda: list(client.watch("billing")), daemon=True)
reader.start()

def in_child():
    old = {
        "lookup": lambda: client.lookup("billing"),
        "register": lambda: client.register("billing", 81),
        "registration": lambda: client.registration(registration.id),
        "watch": lambda: client.watch("billing"),
        "on_change": lambda: client.on_change("billing", print),
        "wait_for": lambda: client.wait_for("billing", timeout=5),
        "services": client.services,
        "watch_services": client.watch_services,
        "picker": lambda: client.picker("billing"),
        "ping": client.ping,
        "stats": client.stats,
        "close_on_signals": client.close_on_signals,
        "close": client.close,
        "next": lambda: next(watch),
        "skipped": lambda: watch.skipped,
        "watch.close": watch.close,
        "next names": lambda: next(names),
        "pick": picker.pick,
        "pick within": lambda: picker.pick(timeout=5),
        "call": lambda: picker.call(lambda pick: None),
        "stop": stop,
        "ready": registration.ready,
        "wait": lambda: registration.wait("registered", 5),
        "update": lambda: registration.update(weight=2),
        "beat": registration.beat,
        "drain": registration.drain,
        "registration.close": registration.close,
    }
    began = time.monotonic()
    for name, call in old.items():
        try:
            call()
        except callsheet.Forked as error:
            assert error.code == "forked"
        else:
            raise AssertionError(f"{name} works in the child")
    assert time.monotonic() - began < 2, "none of them waits for anything of the parent's"
    assert registration.state == "closed" and client.closed and watch.closed
    assert registration.instance.port == 80
    assert snapshot[0].port == 80
    pick.done()
    # What was made before can be let go of.
    global_names = globals()
    for name in ("client", "registration", "stop", "watch", "names", "picker", "pick", "snapshot"):
        global_names[name] = None
    # And all of it made anew.
    with callsheet.connect("memory:fork") as fresh:
        assert list(fresh.lookup("billing")) == [], "a registry in memory is the process's own"
        told = threading.Event()
        with fresh.register("accounts", 81, on_state=lambda state: told.set()):
            assert told.wait(10)
            heard = threading.Event()
            fresh.on_change("accounts", lambda snapshot: heard.set())
            assert heard.wait(10)
            assert next(fresh.watch("accounts"))[0].port == 81

def parent_is_untouched():
    assert registration.state == "registered"
    assert [i.port for i in client.lookup("billing")] == [80]
    changed.clear()
    registration.update(weight=5)
    assert changed.wait(10)
    assert picker.pick().port == 80
    stop()
    client.close()
    reader.join(10)
    assert not reader.is_alive()
"""

WAITING = """
def status_of(pid):
    # A child that hangs is killed, and its status says so.
    killer = threading.Timer(20, os.kill, (pid, signal.SIGKILL))
    killer.start()
    _, status = os.waitpid(pid, 0)
    killer.cancel()
    return os.waitstatus_to_exitcode(status)
"""


def check(script: str) -> None:
    done = run_script(SETUP + WAITING + script)
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout
    assert "Traceback" not in done.stderr, done.stderr


def test_a_child_that_exits_normally() -> None:
    check("""
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    in_child()
    sys.exit(7)
assert status_of(pid) == 7
parent_is_untouched()
print("ok")
""")


def test_a_child_that_touches_nothing() -> None:
    check("""
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    sys.exit(7)
assert status_of(pid) == 7
parent_is_untouched()
print("ok")
""")


def test_a_child_that_leaves_the_blocks_of_its_parent() -> None:
    check("""
sys.stdout.flush()
with client, registration, stop, watch, names:
    pid = os.fork()
    if pid == 0:
        with picker.pick() if False else pick:
            sys.exit(7)
    assert status_of(pid) == 7
    parent_is_untouched()
print("ok")
""")


def test_many_children_while_everything_is_busy() -> None:
    check("""
sys.stdout.flush()
busy = True
def churn():
    weight = 1
    while busy:
        weight = weight % 100 + 1
        registration.update(weight=weight)
        client.lookup("billing")
        with picker.pick():
            pass
churner = threading.Thread(target=churn)
churner.start()
pids = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        try:
            client.lookup("billing")
        except callsheet.Forked:
            with callsheet.connect("memory:fork") as fresh, fresh.register("accounts", 81):
                assert fresh.lookup("accounts")
            sys.exit(7)
    pids.append(pid)
statuses = [status_of(pid) for pid in pids]
busy = False
churner.join()
assert statuses == [7] * 20, statuses
parent_is_untouched()
print("ok")
""")


def test_workers_of_a_pre_forking_server() -> None:
    """As gunicorn does: the parent imports and connects, each worker registers for itself."""
    check("""
sys.stdout.flush()
pids = []
for port in range(4):
    pid = os.fork()
    if pid == 0:
        worker = callsheet.connect("memory:fork")
        worker.register("billing", 1000 + port)
        worker.on_change("billing", lambda snapshot: None)
        assert [i.port for i in worker.lookup("billing")] == [1000 + port]
        sys.exit(7)  # its own client is closed on the way out
    pids.append(pid)
assert [status_of(pid) for pid in pids] == [7] * 4
parent_is_untouched()
print("ok")
""")


def test_multiprocessing() -> None:
    check("""
import multiprocessing
from multiprocessing.util import Finalize
reading, writing = os.pipe()
def work():
    in_child()
    fresh = callsheet.connect("memory:fork")
    fresh.register("accounts", 82)
    # Such a child ends without atexit. What is finalized later than callsheet finds the client closed.
    Finalize(None, lambda: os.write(writing, b"closed" if fresh.closed else b"open"), exitpriority=-1)
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join(20)
assert process.exitcode == 0, process.exitcode
assert os.read(reading, 100) == b"closed"
parent_is_untouched()
print("ok")
""")


def test_the_log_works_in_a_child() -> None:
    check("""
import logging
lines = []
heard = threading.Event()
class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
        heard.set()
logging.getLogger("callsheet").addHandler(Keep())
sys.stdout.flush()
pid = os.fork()
if pid == 0:
    memory = callsheet.memory.Memory("child")
    memory.refuse()
    with callsheet.connect("memory:child") as fresh:
        fresh.register("accounts", 81)
        assert heard.wait(10), "no log line in the child"
        memory.refuse(False)
    sys.exit(7)
assert status_of(pid) == 7
parent_is_untouched()
print("ok")
""")
