"""A provider: it serves HTTP, and is found as `billing` while it does."""

import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import callsheet


class Billing(BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:  # noqa: D102
        body = b"paid\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: D102
        pass


def wait_for_sigterm() -> None:
    """Return when the process is asked to end."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    # Woken now and then: the kernel may give a signal to any thread, and Python runs handlers on this one only.
    while not stopped.wait(0.5):
        pass


with callsheet.connect() as client:  # $CALLSHEET_URL, else local:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Billing)
    port = server.server_address[1]
    with client.register(
        "billing",
        port=port,
        tags=["v2"],
        metadata={"team": "pay"},
        check=callsheet.http("/health", interval=5),
        ready=False,
    ) as registration:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        registration.ready()  # published now; keeps trying if the registry is away
        print(f"serving {registration.instance.url}", flush=True)
        wait_for_sigterm()
    server.shutdown()
    server.server_close()
