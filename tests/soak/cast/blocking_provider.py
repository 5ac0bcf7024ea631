"""A provider on threads: it listens, says who it is to all who connect, and is registered meanwhile. What it says is
told in blocking.py.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import callsheet

from .words import say


class Provider:
    def __init__(self, client: callsheet.Client, command: dict[str, Any]) -> None:
        self.id = command["id"]
        self.registration = client.register(
            command["service"],
            command["port"],
            command["address"],
            self.id,
            ttl=command["ttl"],
            metadata={"n": str(command["n"])},
            wait_for_port=True,
            drain=0.5,
            on_state=lambda state: say(slot=command["slot"], state=state),
        )
        self.listener = socket.create_server((command["address"], command["port"]), backlog=128)
        say(listens=self.id, at=time.time())
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # it was shut down
            with connection:
                try:
                    connection.sendall(f"{self.id}\n".encode())
                except OSError:
                    pass  # who called was killed meanwhile

    def end(self) -> None:
        """Withdraws, lets calls arrive that are on their way, and listens no more."""
        try:
            self.registration.close()
        except callsheet.Timeout:
            pass  # the registry could not be told; it goes with its TTL
        say(leaves=self.id, at=time.time())
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
