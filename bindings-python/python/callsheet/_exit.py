"""Closing the clients that are still open when the interpreter exits, within a second."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from callsheet import _callsheet, _log

if TYPE_CHECKING:
    from callsheet._connection import Connection

_LIMIT = 1.0


class Clients:
    """Clients that somebody else holds. Other threads may add one while it is read, which a `WeakSet` does not bear."""

    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Connection]] = {}

    def add(self, client: Connection) -> None:
        """Know `client` as long as it is held."""
        number, known = id(client), self._known
        known[number] = weakref.ref(client, lambda gone: known.pop(number, None))

    def __iter__(self) -> Iterator[Connection]:
        for known in list(self._known.values()):
            if (client := known()) is not None:
                yield client


_clients = Clients()
# Clients with a registration. A registration lasts until it is closed, also past the function that made it; a client
# that was dropped before the program ends would leave its instances behind.
_registered: set[Connection] = set()
# The process whose end is watched, when that is not the end of an interpreter.
_finalized: int | None = None


def close_at_exit(client: Connection) -> None:
    """Close `client` when this process exits, unless it is closed or gone by then."""
    global _finalized
    _clients.add(client)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None and _finalized != os.getpid():
        # A child of multiprocessing leaves by `os._exit`, past atexit, but runs these.
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=0)
        _finalized = os.getpid()


def keep(client: Connection) -> None:
    """Hold `client`, which has a registration now."""
    _registered.add(client)


def let_go(client: Connection) -> None:
    """Hold `client` no longer, unless it still has a registration that is not closed."""
    _registered.discard(client)
    # Looked at afterwards, because another thread may have registered meanwhile.
    if _has_registrations(client):
        _registered.add(client)


def _has_registrations(client: Connection) -> bool:
    return not client._core.is_closed and bool(client._core.stats()["registrations"])


@atexit.register
def _close_all() -> None:
    # A client that was made before a fork counts as closed in the child: it is not the child's to close.
    cores = [client._core for client in _clients if not client._core.is_closed]
    if cores:
        _callsheet.close_all(cores, _LIMIT)
    _log.flush()
