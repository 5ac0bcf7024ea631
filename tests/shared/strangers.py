"""Ports of what is no registry."""

from __future__ import annotations

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
