"""`python holder.py URL SERVICE ID PORT TTL`: registers, says so, and withdraws at the end of its input."""

from __future__ import annotations

import sys

import callsheet


def main(url: str, service: str, id: str, port: int, ttl: float) -> None:
    with callsheet.connect(url, ttl=ttl) as client:
        registration = client.register(service, port, "127.0.0.1", id)
        registration.wait("registered")
        print("registered", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
