"""`python tests/conformance/registries`, for Rust's runner: prints the path of a socket, and ends when its input does.
Each connection is one registry: lines of JSON, the first of which opens it, every other one a fault.
"""

from __future__ import annotations

import json
import socketserver
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from registries import Registries  # noqa: E402

REGISTRIES = Registries()


class Connection(socketserver.StreamRequestHandler):
    """`{"name": "etcd", "needs": [...], "services": [...]}` is answered with its `url` and `login`,
    `{"kind": "put", ...}`, `{"settle": true}` and `{"heal": true}` with nothing; each with an `error` when it could not
    be done.
    """

    def handle(self) -> None:
        registry = None
        try:
            for line in self.rfile:
                try:
                    asked = json.loads(line)
                    if registry is None:
                        registry = REGISTRIES.open(**asked)
                        self.answer(url=registry.url, login=registry.login)
                    elif "heal" in asked:
                        registry.heal()
                        self.answer()
                    elif "settle" in asked:
                        registry.settle()
                        self.answer()
                    else:
                        registry.fault(**asked)
                        self.answer()
                except Exception as error:
                    self.answer(error=f"{type(error).__name__}: {error}")
        finally:
            if registry:
                registry.close()

    def answer(self, **said: Any) -> None:
        self.wfile.write(json.dumps(said).encode() + b"\n")


class Server(socketserver.ThreadingUnixStreamServer):
    """A thread per connection; its end waits for all of them."""

    daemon_threads = False
    request_queue_size = 128


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="callsheet-conformance-") as folder:
        path = f"{folder}/registries"
        with Server(path, Connection) as server:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            print(path, flush=True)
            sys.stdin.read()
            server.shutdown()
        REGISTRIES.close()


main()
