"""The registries that scenarios run on, each empty and with ways to hurt it for real. `memory:` is not here: it lives
in the driver's process, and each language has a control of it.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `servers`

from servers.warden import warden

from .consul import OfConsul, Servers
from .etcd import Etcd, Shared
from .local import Local

NAMES = ("memory", "local", "etcd", "consul")


class Registry(Protocol):
    """One scenario's."""

    url: str

    def fault(self, kind: str, on: bool, seconds: float, service: str, id: str) -> None:
        """Do it. ValueError where there is no such fault."""

    def settle(self) -> None:
        """Wait until whoever reads sees what was written. Done before each step that reads."""

    def heal(self) -> None:
        """End the faults that last, so that clients can close."""

    def close(self) -> None:
        """Leave nothing behind."""


class Registries:
    """Of one run. Servers start when the first scenario needs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._folder: Path | None = None
        self._shared: Shared | None = None
        self._servers: Servers | None = None

    def open(self, name: str, needs: Iterable[str]) -> Registry:
        """A registry for a scenario with these `needs`."""
        number, folder = next(self._numbers), self._place()
        if name == "local":
            return Local(folder / f"{number}.db")
        if name == "etcd":
            with self._lock:
                self._shared = self._shared or Shared(folder)
            return Etcd(self._shared, number, set(needs))
        if name == "consul":
            with self._lock:
                self._servers = self._servers or Servers(folder)
            return OfConsul(self._servers, number, set(needs))
        raise ValueError(f"no registry is called {name!r}")

    def close(self) -> None:
        """End the servers, remove the files."""
        if self._shared:
            self._shared.close()
        if self._servers:
            self._servers.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            warden.release(self._folder)

    def _place(self) -> Path:
        with self._lock:
            if not self._folder:
                self._folder = Path(tempfile.mkdtemp(prefix="callsheet-conformance-"))
                warden.guard(self._folder)
            return self._folder
