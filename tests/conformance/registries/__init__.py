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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # for `servers` and `shared`

from servers.warden import warden
from shared import recipes

from .consul import OfConsul, Servers
from .etcd import Etcd, Shared
from .local import Local

NAMES = ("memory", "local", "etcd", "consul")
#: etcd and Consul where the scenario's program may what their guides give one that registers its services, and no more.
UNDER_RIGHTS = ("etcd-roles", "consul-policies")


class Registry(Protocol):
    """One scenario's."""

    url: str
    login: dict[str, str]
    """The options that a client of it needs."""

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

    def open(self, name: str, needs: Iterable[str], services: Iterable[str]) -> Registry:
        """A registry for a scenario with these `needs`, whose programs register these services."""
        number = next(self._numbers)
        match name:
            case "local":
                return Local(self._place() / f"{number}.db")
            case "etcd":
                return Etcd(self._shared_etcd(), number, set(needs))
            case "etcd-roles":
                rights = recipes.for_services(recipes.of_etcd(), services)
                return Etcd(self._shared_etcd(), number, set(needs), rights)
            case "consul":
                return OfConsul(self._servers_of_consul(), number, set(needs))
            case "consul-policies":
                rights = recipes.for_services(recipes.of_consul(), services)
                return OfConsul(self._servers_of_consul(), number, set(needs), rights)
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

    def _shared_etcd(self) -> Shared:
        folder = self._place()
        with self._lock:
            self._shared = self._shared or Shared(folder)
            return self._shared

    def _servers_of_consul(self) -> Servers:
        folder = self._place()
        with self._lock:
            self._servers = self._servers or Servers(folder)
            return self._servers

    def _place(self) -> Path:
        with self._lock:
            if not self._folder:
                self._folder = Path(tempfile.mkdtemp(prefix="callsheet-conformance-"))
                warden.guard(self._folder)
            return self._folder
