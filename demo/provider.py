"""A small HTTP server that registers itself: one of the demo's providers.

    python provider.py NAME

Prints what it does, each line with the machine's monotonic clock, so that the director can tell how fast it was seen.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import callsheet


def say(what: str) -> None:
    print(f"{what} {time.monotonic_ns()}", flush=True)


def serve(name: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            time.sleep(0.005)  # the work of a call
            body = f"{name}\n".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the demo's own story readable."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())

    with callsheet.connect() as client:
        # The drain leaves calls that were already on their way the time to arrive and end.
        registration = client.register(
            "greeter", port=server.server_port, metadata={"name": name}, ready=False, drain=0.5
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say("joining")
        registration.ready()
        # Woken now and then: the kernel may give a signal to any thread, and Python runs handlers on this one only.
        while not terminated.wait(0.2):
            pass
        say("leaving")
        registration.close()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    serve(sys.argv[1])
