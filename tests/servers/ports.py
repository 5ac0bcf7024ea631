"""Free ports of the loopback, below those that the system hands out itself."""

from __future__ import annotations

import random
import socket
from collections import deque
from threading import Lock

# A client that tries a stopped server's port again and again would else meet itself one day (TCP's simultaneous
# open), or an outgoing connection would take the port before the server is back.
LOWEST, HIGHEST = 10_000, 32_000
# Given to servers that may not listen yet: of two on one port, one ends, and the other says for it that it is healthy.
_LATELY: deque[int] = deque(maxlen=1000)
_lock = Lock()


def free(count: int) -> list[int]:
    """Ports that nobody listens on now. Another process may be quicker: who uses them tries again with others."""
    found: list[int] = []
    with _lock:
        for _ in range(1000):
            port = random.randint(LOWEST, HIGHEST)
            if port not in _LATELY and _is_free(port):
                found.append(port)
                _LATELY.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no {count} free ports between {LOWEST} and {HIGHEST}")


def held(port: int) -> socket.socket:
    """Keeps a TCP port from all who ask here, in whichever process, while it is open and also while nobody listens."""
    holder = socket.socket(type=socket.SOCK_DGRAM)
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        raise
    return holder


def _is_free(port: int) -> bool:
    with socket.socket() as listener, socket.socket(type=socket.SOCK_DGRAM) as holder:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            holder.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
