"""`callsheet.aio` and its process: the end of `asyncio.run` and of the interpreter, forks, signals."""

from __future__ import annotations

import pytest

from conftest import run_script

#: A close within one second is promised; starting an interpreter counts too.
LIMIT = 6.0

SETUP = """
import asyncio, atexit, sys, time
import callsheet, callsheet.aio
from callsheet.memory import Memory
"""

#: What is open when `main` ends, or is made to end.
OPEN = {
    "a client": "await client.ping()",
    "a registration": 'kept.append(await client.register("billing", 80, on_state=lambda state: None))',
    "a watch": 'kept.append(client.watch("billing")); await kept[0].__anext__()',
    "a task that follows": """
async def follow():
    async for snapshot in client.watch("billing"):
        pass
kept.append(asyncio.ensure_future(follow()))
await asyncio.sleep(0.01)
""",
    "a callback": """
kept.append(client.on_change("billing", lambda snapshot: None))
await asyncio.sleep(0.01)
""",
    "an async callback that waits": """
async def wait(snapshot):
    await client.wait_for("nobody")
kept.append(client.on_change("billing", wait))
await asyncio.sleep(0.01)
""",
    "tasks in every wait": """
picker = await client.picker("nobody")
held = await client.register("x", 1, ready=False)
for call in (client.wait_for("nobody"), picker.pick(timeout=1000), held.wait("registered")):
    kept.append(asyncio.ensure_future(call))
await asyncio.sleep(0.01)
""",
    "a storm of changes": """
memory = Memory("exit")
memory.put(callsheet.Instance("billing", "h", 1))
kept.append(client.on_change("billing", lambda snapshot: None))
import threading
def churn():
    for weight in range(1, 60000):
        memory.put(callsheet.Instance("billing", "h", 1, weight=weight))
threading.Thread(target=churn, daemon=True).start()
await asyncio.sleep(0.01)
""",
}

ENDS = {
    "returns": ("", 0),
    "raises": ("raise ValueError('on purpose')", 1),
    "exits": ("sys.exit(3)", 3),
}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("opened", OPEN)
def test_exit(opened: str, end: str, loop: str) -> None:
    """`asyncio.run` ends with open clients: nothing hangs, nobody complains."""
    ending, status = ENDS[end]
    body = "\n    ".join((OPEN[opened].strip() + "\n" + ending).splitlines())
    code = f"""{SETUP}
import {loop}
kept = []
async def main():
    client = callsheet.aio.connect("memory:exit")
    kept.append(client) if {opened == "a client"} else None
    {body}
began = time.monotonic()
atexit.register(lambda: print(time.monotonic() - began))
{loop}.run(main())
"""
    ran = run_script(code)
    assert ran.returncode == status, ran.stderr
    complaints = ran.stderr.splitlines()
    assert "never" not in ran.stderr
    assert "pending" not in ran.stderr
    assert (complaints[-1:] == ["ValueError: on purpose"]) if end == "raises" else not complaints
    assert float(ran.stdout) < LIMIT


def test_exit_withdraws_what_is_registered(tmp_path: object) -> None:
    """A program that forgets to close: the registration goes with it, not with its TTL."""
    url = f"local://{tmp_path}/registry.db"
    ran = run_script(f"""{SETUP}
async def main():
    await callsheet.aio.connect({url!r}, ttl=3600).register("billing", 80)
asyncio.run(main())
""")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert left(url) == 0


def left(url: str) -> int:
    """How many instances another process sees."""
    return int(
        run_script(f"import callsheet\nprint(len(callsheet.connect({url!r}).lookup('billing')))").stdout
    )


def test_a_loop_that_is_abandoned() -> None:
    """Not even closed: the watch is still open when the interpreter ends."""
    ran = run_script(f"""{SETUP}
import warnings
warnings.simplefilter("ignore", ResourceWarning)  # the loop is this program's fault
client = callsheet.aio.connect("memory:abandoned")
loop = asyncio.new_event_loop()
watch = client.watch("billing")
loop.run_until_complete(watch.__anext__())
loop.run_until_complete(client.register("billing", 80))
stop = loop.run_until_complete(asyncio.sleep(0, client))
""")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_fork() -> None:
    """A child owns nothing of its parent's, and works anew on a loop of its own."""
    ran = run_script(f"""{SETUP}
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and newer warn of any fork beside threads

async def forked():
    calls = [
        client.lookup("billing"), client.register("billing", 81), client.services(), client.ping(),
        client.wait_for("billing"), client.picker("billing"), client.close(), client.deregister("x"),
        watch.__anext__(), watch.aclose(), registration.ready(), registration.update(weight=2),
        registration.close(), picker.pick(timeout=5), stop.close(),
    ]
    for call in calls:
        try:
            await call
        except callsheet.Forked:
            pass
        else:
            raise AssertionError(call)
    for call in (lambda: client.watch("billing"), client.watch_services, picker.pick, client.stats, stop,
                 client.close_on_signals, registration.beat, lambda: client.on_change("billing", print)):
        try:
            call()
        except callsheet.Forked:
            pass
        else:
            raise AssertionError(call)
    # Leaving the parent's blocks is no error, and withdraws nothing.
    for opened in (client, registration, watch, stop):
        await opened.__aexit__(None, None, None)
    async with callsheet.aio.connect("memory:fork") as fresh:
        assert not await fresh.lookup("billing"), "a registry in memory is the process's own"
        async with fresh.register("accounts", 82):
            assert len(await fresh.wait_for("accounts", timeout=20)) == 1

async def main():
    global client, registration, watch, stop, picker, seen
    seen = []
    async with callsheet.aio.connect("memory:fork") as client:
        registration = await client.register("billing", 80, on_state=lambda state: None)
        watch = client.watch("billing")
        await watch.__anext__()
        stop = client.on_change("billing", seen.append)
        picker = await client.picker("billing")
        reading = asyncio.ensure_future(watch.__anext__())
        while not seen:
            await asyncio.sleep(0)
        child = os.fork()
        if not child:
            try:
                # A loop of its own: the parent's does not run here.
                asyncio.run(forked())
                for name in ("client", "registration", "watch", "stop", "picker"):
                    globals()[name] = None
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        # The parent goes on as if nothing had been.
        await registration.update(weight=5)
        assert (await reading)[0].weight == 5
        while seen[-1][0].weight != 5:
            await asyncio.sleep(0)
asyncio.run(main())
""")
    assert (ran.returncode, ran.stderr) == (0, "")


SIGNALLED = (
    SETUP
    + """
import os, signal
url = "{url}"
async def main():
    {before}
    client = callsheet.aio.connect(url, ttl=3600, drain=0.2)
    await client.register("billing", 80)
    client.close_on_signals()
    ticks = []
    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.005)
    ticking = asyncio.ensure_future(tick())
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.{signal})
    try:
        {wait}
    finally:
        print("closed", client.closed, len(ticks) > 20, flush=True)
{run}
"""
)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sigterm_closes_and_then_ends_the_process(loop: str, tmp_path: object) -> None:
    url = f"local://{tmp_path}/registry.db"
    code = SIGNALLED.format(
        url=url,
        before="",
        signal="SIGTERM",
        wait="await asyncio.Event().wait()",
        run=f"import {loop}\n{loop}.run(main())",
    )
    ran = run_script(code)
    assert (ran.returncode, ran.stderr) == (-15, "")
    assert left(url) == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_ctrl_c_closes_and_then_interrupts(loop: str, tmp_path: object) -> None:
    """What `asyncio.run` does on Ctrl-C comes after the close, during which the loop goes on."""
    code = SIGNALLED.format(
        url=f"local://{tmp_path}/registry.db",
        before="",
        signal="SIGINT",
        wait="await asyncio.Event().wait()",
        run=f"import {loop}\ntry:\n    {loop}.run(main())\nexcept KeyboardInterrupt:\n    print('interrupted')",
    )
    ran = run_script(code)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "closed True True\ninterrupted\n", "")


def test_handlers_of_the_program_run_as_before(tmp_path: object) -> None:
    """One set with `signal.signal`, and one of the loop's."""
    for before in (
        "signal.signal(signal.SIGTERM, lambda *_: came.set())",
        "asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, came.set)",
    ):
        code = SIGNALLED.format(
            url=f"local://{tmp_path}/registry.db",
            before=f"came = asyncio.Event(); {before}",
            signal="SIGTERM",
            wait="await came.wait(); await client.close()",
            run="asyncio.run(main())",
        )
        ran = run_script(code)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("closed True")
