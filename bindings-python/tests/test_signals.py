"""`close_on_signals`: close first, then whatever the program does on the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

import callsheet
from conftest import run_script

START = """
import os, signal, sys, threading
import callsheet
client = callsheet.connect("memory:signals")
def say(word):
    os.write(1, word.encode() + bytes([10]))  # in one piece, whatever other threads say
registration = client.register("billing", 80, on_state=say)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_default_action_ends_the_process_after_closing(number: signal.Signals) -> None:
    script = f"""
signal.signal(signal.SIGINT, signal.SIG_DFL)
client.close_on_signals()
client.close_on_signals()
os.kill(os.getpid(), {int(number)})
threading.Event().wait(20)
"""
    done = run_script(START + script)
    assert done.returncode == -number, done.stderr
    assert done.stdout.endswith("closed\n")


def test_handlers_that_call_each_other_in_a_chain_each_run_once() -> None:
    script = """
client.close_on_signals()
before = signal.getsignal(signal.SIGTERM)
def handler(number, frame):
    say("mine")
    before(number, frame)
signal.signal(signal.SIGTERM, handler)
other = callsheet.connect("memory:signals")
other.close_on_signals()
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(20)
"""
    done = run_script(START + script)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert done.stdout.splitlines()[-2:] == ["closed", "mine"]


def test_ctrl_c_raises_after_closing() -> None:
    script = """
client.close_on_signals()
try:
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(20)
except KeyboardInterrupt:
    assert registration.state == "closed"
    say("interrupted")
"""
    done = run_script(START + script)
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (0, ["closed", "interrupted"]), done.stderr


def test_the_programs_handler_runs_after_closing() -> None:
    script = """
handled = threading.Event()
def handler(number, frame):
    assert client.closed and number == signal.SIGTERM and frame is not None
    say("handled")
    handled.set()
signal.signal(signal.SIGTERM, handler)
client.close_on_signals()
os.kill(os.getpid(), signal.SIGTERM)
assert handled.wait(10)
handled.clear()
os.kill(os.getpid(), signal.SIGTERM)
assert handled.wait(10)
"""
    done = run_script(START + script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["closed", "handled", "handled"]


def test_an_ignored_signal_stays_ignored() -> None:
    script = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
client.close_on_signals()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
os.kill(os.getpid(), signal.SIGTERM)
assert registration.state == "registered"
"""
    done = run_script(START + script)
    assert done.returncode == 0, done.stderr


def test_a_blocked_main_thread_hears_the_signal() -> None:
    script = (
        START
        + """
client.close_on_signals()
say("waiting")
for snapshot in client.watch("billing"):
    pass
threading.Event().wait(20)
"""
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "waiting\n" in iter(process.stdout.readline, "")
            process.terminate()
            assert process.wait(10) == -signal.SIGTERM
            assert process.stdout.read().endswith("closed\n")
        finally:
            process.kill()


def test_a_second_signal_does_not_wait() -> None:
    script = (
        START
        + """
signal.signal(signal.SIGINT, signal.SIG_DFL)
began = threading.Event()
def stuck(snapshot):
    began.set()
    threading.Event().wait(1000)
client.on_change("billing", stuck)
began.wait(10)
client.close_on_signals()
say("waiting")
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(20)
"""
    )
    done = run_script(script, within=4)
    assert done.returncode == -signal.SIGTERM


def test_only_on_the_main_thread() -> None:
    raised: list[BaseException] = []

    def call() -> None:
        try:
            with callsheet.connect("memory:") as client:
                client.close_on_signals()
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(raised) == 1


def test_a_child_does_not_close_for_its_parent() -> None:
    script = (
        START
        + """
import warnings
warnings.simplefilter("ignore")
client.close_on_signals()
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(20)
_, status = os.waitpid(pid, 0)
assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM, status
assert registration.state == "registered"
assert client.lookup("billing")
"""
    )
    done = run_script(script)
    assert done.returncode == 0, done.stderr
