"""Do to a registry what tests want to see survived. `memory:` has a control of its own; this is for the others.

Usage: fault.py URL KIND on|off SERVICE ID SECONDS    (what a kind has no use for is empty)
"""

from __future__ import annotations

import json
import pathlib
import secrets
import sqlite3
import sys
import urllib.parse


def local(path: pathlib.Path, kind: str, service: str, id: str) -> None:
    """What people and other programs do to the file of `local:`."""
    if kind == "wipe":
        for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            file.unlink(missing_ok=True)
        return
    if kind == "corrupt":
        path.write_bytes(b"this is no registry\n" * 1000)
        return
    body = json.dumps({"id": id, "service": service, "address": "10.9.9.9", "port": 9999})
    statements = {
        "put": ("INSERT OR REPLACE INTO instances (service, id, body) VALUES (?, ?, ?)", (service, id, body)),
        "delete": ("DELETE FROM instances WHERE service = ? AND id = ?", (service, id)),
        "lose_leases": ("DELETE FROM instances WHERE owner <> ''", ()),
        "identity": ("UPDATE meta SET birth = ?", (secrets.randbits(62),)),
    }
    # A transaction that waits for others as long as they may take.
    with sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=10) as database:
        database.execute(*statements[kind])
    database.close()


def main(url: str, kind: str, _switch: str, service: str, id: str, _seconds: str) -> None:
    """Do it."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "local":
        sys.exit(f"fault.py: {url} has no faults yet")
    local(pathlib.Path(urllib.parse.unquote(parts.path)), kind, service, id)


if __name__ == "__main__":
    main(*sys.argv[1:])
