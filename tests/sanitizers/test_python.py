"""The Python package under valgrind, where memory changes hands: close, fork, and every end of the interpreter."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from memcheck import LEAK, Ended, faulty, memcheck

PRELUDE = """
import gc, os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and newer warn of any fork beside threads
import callsheet

def live(url):
    \"\"\"A client with everything open, all of which has been told something.\"\"\"
    client = callsheet.connect(url)
    told = [threading.Event() for _ in range(3)]
    registration = client.register("billing", 80, tags=["a"], metadata={"k": "v"}, on_state=lambda state: told[0].set())
    client.on_change("billing", lambda snapshot: told[1].set())
    def read():
        try:
            for snapshot in client.watch("billing"):
                told[2].set()
        except callsheet.Error:
            pass
    threading.Thread(target=read, daemon=True).start()
    watch = client.watch("billing")
    picker = client.picker("billing")
    pick = picker.pick(timeout=60)
    for event in told:
        assert event.wait(60)
    return client, registration, watch, next(watch), client.watch_services(), picker, pick
"""

PROGRAMS = {
    "close with everything live": """
for name in ("memory:a", "memory:a", "memory:b"):
    client, *others = live(name)
    client.close()
    del client, others
gc.collect()
print("end")
""",
    "close from a callback": """
client, registration, *_ = live("memory:a")
closed = threading.Event()
def closing(snapshot):
    client.close()
    closed.set()
client.on_change("billing", closing)
assert closed.wait(60)
callsheet.connect("memory:a").close()
print("end")
""",
    "close while other threads use it": """
client, registration, watch, snapshot, names, picker, pick = live("memory:a")
def use():
    try:
        while True:
            registration.update(weight=2)
            client.lookup("billing")
            picker.pick().done()
            next(client.watch("billing"))
    except callsheet.Error:
        pass
threads = [threading.Thread(target=use) for _ in range(3)]
for thread in threads:
    thread.start()
changes = [threading.Event() for _ in range(2)]
for event in changes:
    client.on_change("billing", lambda snapshot, event=event: event.set())
    assert event.wait(60)
client.close()
for thread in threads:
    thread.join(60)
print("end")
""",
    "clients that are dropped": """
for _ in range(5):
    things = live("memory:a")
    del things
    gc.collect()
print("end")
""",
    "asyncio": """
import asyncio, callsheet.aio
async def main():
    async with callsheet.aio.connect("memory:a") as client:
        await client.register("billing", 80)
        seen = asyncio.Event()
        client.on_change("billing", lambda snapshot: seen.set())
        await seen.wait()
        waiting = asyncio.create_task(client.wait_for("nobody", timeout=1000))
        async for snapshot in client.watch("billing"):
            break
        waiting.cancel()
    left = callsheet.aio.connect("memory:a")
    await left.register("billing", 80)
    await left.watch("billing").__anext__()
asyncio.run(main())
gc.collect()
print("end")
""",
    "fork": """
client, registration, watch, snapshot, names, picker, pick = live("memory:a")
sys.stdout.flush()
children = []
for ending in (sys.exit, os._exit, sys.exit):
    pid = os.fork()
    if pid == 0:
        for call in (lambda: client.lookup("billing"), picker.pick, watch.close, registration.close, client.close):
            try:
                call()
            except callsheet.Forked:
                continue
            os._exit(1)
        pick.done()
        client = registration = watch = snapshot = names = picker = pick = None
        gc.collect()
        mine = live("memory:a")
        if children:
            mine[0].close()
        ending(7)
    children.append(pid)
for pid in children:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert registration.state == "registered" and len(client.lookup("billing")) == 1
client.close()
print("end")
""",
    "a normal end with everything open": """
kept = live("memory:a")
print("end")
""",
    "a normal end in the middle of a callback": """
client, *kept = live("memory:a")
began = threading.Event()
def waiting(snapshot):
    began.set()
    client.wait_for("nobody")
client.on_change("billing", waiting)
assert began.wait(60)
print("end")
""",
    "os._exit with everything open": """
kept = live("memory:a")
print("end", flush=True)
os._exit(0)
""",
    "SIGTERM with everything open": """
client, *kept = live("memory:a")
client.close_on_signals()
print("end", flush=True)
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(60)
""",
}

STATUS = {"SIGTERM with everything open": -signal.SIGTERM}


def run(library: str, program: str, folder: Path) -> Ended:
    # Python's own allocator would hide from valgrind what is an object of Python's.
    return memcheck(library, sys.executable, "-c", program, folder=folder, PYTHONMALLOC="malloc")


@pytest.mark.parametrize("name", PROGRAMS)
def test_memory_is_sound(name: str, tmp_path: Path) -> None:
    ended = run("_callsheet", PRELUDE + PROGRAMS[name], tmp_path)
    assert (ended.status, ended.out) == (STATUS.get(name, 0), "end\n"), ended.err
    assert "Traceback" not in ended.err, ended.err
    assert ended.faults == [], "\n\n".join(f"{fault.kind}: {fault.text}" for fault in ended.faults)


def test_a_fault_would_be_seen(tmp_path: Path) -> None:
    ended = run("faulty.so", f"import ctypes; ctypes.CDLL({str(faulty(tmp_path))!r})", tmp_path)
    assert ended.status == 0, ended.err
    assert {fault.kind for fault in ended.faults} == {"InvalidRead", LEAK}
