"""A port that listens on loopback, for the steps that need a program behind an instance."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

T = TypeVar("T")


def once_free(bind: Callable[[], T]) -> T:
    """Take a port; tried again while it is taken."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return bind()
        except (OSError, RuntimeError):  # the latter is gRPC's
            # A process that another scenario starts just now may hold a copy of the port's last listener.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class Listener:
    """Listens, and if asked to, answers HTTP with one status; otherwise it closes connections as they come."""

    def __init__(self, port: int, answers: int | None) -> None:
        self.port, self.answers, self.open = port, answers, True
        self.socket = once_free(lambda: socket.create_server(("127.0.0.1", port)))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

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


class HealthServer:
    """A gRPC server that says how it and its services are, by name; the name of the whole is empty."""

    def __init__(self, port: int, serves: dict[str, str]) -> None:
        health = HealthServicer()
        for service, status in serves.items():
            health.set(service, HealthCheckResponse.ServingStatus.Value(status))
        # Without the option a second server could listen on the port of the first.
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        add_HealthServicer_to_server(health, self.server)
        once_free(lambda: self.server.add_insecure_port(f"127.0.0.1:{port}"))
        self.server.start()

    def close(self) -> None:
        """Stop listening; the port is free when this returns."""
        self.server.stop(0).wait()
