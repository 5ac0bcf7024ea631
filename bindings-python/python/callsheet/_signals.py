"""Closing clients on SIGTERM and SIGINT, before whatever the program does on these signals."""

from __future__ import annotations

import os
import signal
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any

from callsheet._errors import Error
from callsheet._log import logger

if TYPE_CHECKING:
    from callsheet._client import Client

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_previous: dict[int, Any] = {}


def close_on_signals(client: Client) -> None:
    """Close `client` when a signal asks this process to end."""
    for number in _SIGNALS:
        current = signal.getsignal(number)
        # An ignored signal stays ignored. None is a handler that Python did not set and could not call.
        if current in (signal.SIG_IGN, None) or current is _handle:
            continue
        signal.signal(number, _handle)
        _previous[number] = current
    _clients.add(client)


def _handle(number: int, frame: FrameType | None) -> None:
    _close_all()
    previous = _previous.get(number, signal.SIG_DFL)
    if callable(previous):
        previous(number, frame)
        return
    # The default action, so that the exit status says which signal it was.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _close_all() -> None:
    for client in list(_clients):
        # Also one that is being closed: a second signal does not wait for what the first one began.
        if client.closed:
            continue
        try:
            client.close()
        except Error as error:
            logger.warning("closing %s on a signal: %s", client.source, error)
