"""What other tools write into a registry: an instance, and what is none (failure 21)."""

from __future__ import annotations

import json


def instance(service: str, id: str) -> bytes:
    """A good one."""
    return json.dumps({"id": id, "service": service, "address": "10.9.9.9", "port": 9999}).encode()


#: By id. Nothing of it may be shown, and nothing good hidden because of it.
GARBAGE = {
    "null": b"null",
    "empty": b"{}",
    "list": b"[1, 2]",
    "another tool's": b'{"Op": 0, "Addr": "10.9.9.9:9999", "Metadata": null}',
    "without an address": b'{"address": "", "port": 9999}',
    "without a port": b'{"address": "10.9.9.9", "port": 0}',
    "cut off": b'{"address": "10.9.9.9", "por',
    "no UTF-8": b"\xff\xfe{}",
    "nothing": b"",
    "large": b"x" * (1 << 20),
}
