"""Ports of what is no registry."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def silent() -> Iterator[str]:
    """A port that takes connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def greeting(text: bytes) -> Iterator[str]:
    """A port that says something of its own to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as open_ones:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = open_ones.enter_context(server.accept()[0])
                    connection.sendall(text)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


class Page(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def pages() -> Iterator[str]:
    """A web server of something else."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


class Gate:
    """What stands before an agent and lets reads through, as `asked`, until it is `shut`: then it refuses `path` as the
    agent would, and says nothing to whoever has no token.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.shut = False
        self.asked: list[str] = []
        self.over = threading.Event()


@contextmanager
def gate(agent: str, path: str) -> Iterator[tuple[str, Gate]]:
    state = Gate(path)

    class Handler(Page):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if state.shut and "x-consul-token" not in self.headers:
                state.over.wait()
                return
            if state.shut and self.path.startswith(state.path):
                self.answer(403, [], b"ACL not found")
                return
            state.asked.append(self.path)
            upstream = http.client.HTTPConnection(agent)
            # The length is said anew.
            upstream.request(
                "GET", self.path, headers={"x-consul-token": self.headers["x-consul-token"] or ""}
            )
            answer = upstream.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.startswith("X-Consul-")]
            self.answer(answer.status, kept, answer.read())
            upstream.close()

        def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            with suppress(OSError):
                self.send_response(status)
                for name, value in [*headers, ("Content-Length", str(len(body)))]:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", state
        state.over.set()
        server.shutdown()
