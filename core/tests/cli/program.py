"""A program for `callsheet run`: listens on a port, notes what happens to it in a file, and ends when told to.

    program.py PORT LOG [GATE]     with GATE it listens once that file exists

SIGTERM and SIGINT end it with code 42, after a note of what `$LIST`, a command, prints at that moment. Every other
signal is noted only, and with `$STUBBORN` so is SIGINT.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time

port, log, *gate = sys.argv[1:]


def note(text):
    with open(log, "a") as file:
        file.write(text + "\n")


def end(number, frame):
    listed = subprocess.run(shlex.split(os.environ.get("LIST", "true")), capture_output=True, text=True)
    note(f"{signal.Signals(number).name} {listed.stdout.strip() or 'nothing'}")
    sys.exit(42)


def seen(number, frame):
    note(signal.Signals(number).name)


if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    note("SIGHUP is ignored")
else:
    signal.signal(signal.SIGHUP, seen)
for number in (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM):
    signal.signal(number, seen)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, seen if "STUBBORN" in os.environ else end)
note(f"started {os.getpid()}")


def watch_over():
    """A test that fails takes its folder away and leaves its program behind."""
    if not os.path.exists(os.path.dirname(log)):
        sys.exit(1)


while gate and not os.path.exists(gate[0]):
    watch_over()
    time.sleep(0.01)
server = socket.create_server(("127.0.0.1", int(port)))
server.settimeout(1)
note("listening")
while True:
    watch_over()
    try:
        server.accept()[0].close()
    except TimeoutError:
        pass
