"""The Python member of the cast: a small HTTP server that registers itself, and calls the others meanwhile.

    python ada.py NAME

What each member says, a line each: `joining`, `calls ANSWERED RETRIED FAILED` ten times a second, `failed WHY`,
`leaving`, and at the end `called NAME TIMES` for everyone that it called.
"""

from __future__ import annotations

import collections
import http.client
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import callsheet

CALLERS = 2


def say(*words: object) -> None:
    print(*words, flush=True)


class Calls:
    """Two threads that call whom the picker names, until told to stop."""

    def __init__(self, picker: callsheet.Picker) -> None:
        self.picker = picker
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.called: collections.Counter[str] = collections.Counter()
        self.retried = 0
        self.failed = 0
        self.threads = [threading.Thread(target=self.work) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def work(self) -> None:
        while not self.stop.is_set():
            attempts: list[str] = []

            def get(pick: callsheet.Pick, attempts: list[str] = attempts) -> str:
                attempts.append(pick.id)
                with urllib.request.urlopen(f"{pick.url}/", timeout=5) as answer:
                    return str(answer.read().decode().strip())

            try:
                # A GET may be repeated, so a call that was cut, wherever, is worth a second attempt as well.
                name = self.picker.call(get, attempts=2, retry_on=(OSError, http.client.HTTPException))
            except Exception as error:
                self.failed += 1
                say("failed", repr(error))
            else:
                with self.lock:
                    self.called[name] += 1
                    self.retried += len(attempts) > 1

    def tell(self) -> None:
        say("calls", self.called.total(), self.retried, self.failed)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def main(name: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            time.sleep(0.005)  # the work of a call
            body = f"{name}\n".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                pass  # who called was killed meanwhile

        def log_message(self, *_: object) -> None:
            """Keeps the demo's own story readable."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())

    with callsheet.connect() as client:
        # The drain leaves calls that were already on their way the time to arrive and end.
        registration = client.register(
            "greeter",
            port=server.server_port,
            metadata={"name": name, "in": "Python"},
            ready=False,
            drain=0.5,
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say("joining")
        registration.ready()
        calls = Calls(client.picker("greeter", policy="p2c"))
        # Woken now and then: the kernel may give a signal to any thread, and Python runs handlers on this one only.
        while not terminated.wait(0.1):
            calls.tell()
        calls.end()
        calls.tell()
        say("leaving")
        registration.close()
    for other, times in calls.called.items():
        say("called", other, times)
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main(sys.argv[1])
