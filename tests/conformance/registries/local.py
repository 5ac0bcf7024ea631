"""`local:`, a file for each scenario, and what people and other programs do to it."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from .foreign import GARBAGE, instance


class Local:
    """One scenario's."""

    def __init__(self, path: Path) -> None:
        self.path, self.url = path, f"local://{path}"
        self.login: dict[str, str] = {}

    def fault(self, kind: str, on: bool, seconds: float, service: str, id: str) -> None:
        match kind:
            case "wipe":
                for end in ("", "-wal", "-shm"):
                    self.path.with_name(self.path.name + end).unlink(missing_ok=True)
            case "corrupt":
                self.path.write_bytes(b"this is no registry\n" * 1000)
            case "put":
                self._put(service, {id: instance(service, id)})
            case "garbage":
                self._put(service, {id: b"null"} if id else GARBAGE)
            case "delete":
                self._execute("DELETE FROM instances WHERE service = ? AND id = ?", (service, id))
            case "lose_leases":
                self._execute("DELETE FROM instances WHERE owner <> ''", ())
            case "identity":
                self._execute("UPDATE meta SET birth = ?", (secrets.randbits(62),))
            case _:
                raise ValueError(f"local: has no fault {kind!r}")

    def settle(self) -> None:
        pass  # What is written is read.

    def heal(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _put(self, service: str, values: dict[str, bytes]) -> None:
        rows = [(service, name, value) for name, value in values.items()]
        self._execute("INSERT OR REPLACE INTO instances (service, id, body) VALUES (?, ?, ?)", *rows)

    def _execute(self, statement: str, *rows: tuple[object, ...]) -> None:
        # A transaction that waits for others as long as they may take.
        with sqlite3.connect(f"{self.path.as_uri()}?mode=rw", uri=True, timeout=10) as database:
            database.executemany(statement, rows)
        database.close()
