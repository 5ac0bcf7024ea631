"""A question to Consul's DNS port, as a tool asks it that knows nothing else of Consul."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SRV, IN = 33, 1
POINTER = 0xC0


@dataclass(frozen=True, order=True)
class Srv:
    port: int
    weight: int
    address: str
    """Of the target, from the answer's additional part."""


def srv(server: str, name: str) -> list[Srv]:
    """The SRV records of a name; none where there is no such name."""
    host, port = server.rsplit(":", 1)
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", SRV, IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(5)
        asked.sendto(query, (host, int(port)))
        message = asked.recv(65_535)
    records = list(_records(message))
    addresses = {owner: socket.inet_ntoa(data) for owner, kind, _, data in records if kind == 1}
    found = []
    for _, kind, at, data in records:
        if kind == SRV:
            _, weight, port_there = struct.unpack("!3H", data[:6])
            target, _ = _name(message, at + 6)
            found.append(Srv(port_there, weight, addresses[target]))
    return sorted(found)


def _records(message: bytes) -> Iterator[tuple[str, int, int, bytes]]:
    """Owner, type, where the data begins, and the data, of all that is answered."""
    _, _, questions, *counts = struct.unpack("!6H", message[:12])
    at = 12
    for _ in range(questions):
        _, at = _name(message, at)
        at += 4
    for _ in range(sum(counts)):
        owner, at = _name(message, at)
        kind, _, _, length = struct.unpack("!2HIH", message[at : at + 10])
        at += 10
        yield owner, kind, at, message[at : at + length]
        at += length


def _name(message: bytes, at: int) -> tuple[str, int]:
    """The name that stands there, and where what follows it does."""
    parts, end = [], None
    while length := message[at]:
        if length & POINTER == POINTER:
            end = end or at + 2
            at = struct.unpack("!H", message[at : at + 2])[0] & 0x3FFF
        else:
            parts.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(parts).lower(), end or at + 1
