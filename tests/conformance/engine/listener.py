"""A port that listens on loopback, for the steps that need a program behind an instance."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Listener:
    """Listens, and if asked to, answers HTTP with one status; otherwise it closes connections as they come."""

    def __init__(self, port: int, answers: int | None) -> None:
        self.port, self.answers, self.open = port, answers, True
        self.socket = self.bind(time.monotonic() + 5)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def bind(self, deadline: float) -> socket.socket:
        """Listen; tried again while the port is taken."""
        while True:
            try:
                return socket.create_server(("127.0.0.1", self.port))
            except OSError:
                # A process that another scenario starts just now may hold a copy of the port's last listener.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def serve(self) -> None:
        """Take connections until closed."""
        with self.socket:
            while self.open:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    if self.open and self.answers and connection.recv(4096):
                        head = f"HTTP/1.1 {self.answers} So\r\nContent-Length: 0\r\n"
                        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())

    def close(self) -> None:
        """Stop listening; the port is free when this returns."""
        if self.open:
            self.open = False
            with contextlib.suppress(OSError):  # it may be awake already
                socket.create_connection(("127.0.0.1", self.port)).close()
            self.thread.join()
