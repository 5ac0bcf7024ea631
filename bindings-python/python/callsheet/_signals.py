"""Closing clients on SIGTERM and SIGINT, before whatever the program does on these signals."""

from __future__ import annotations

import functools
import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

from callsheet._errors import Error
from callsheet._exit import Clients
from callsheet._log import logger

if TYPE_CHECKING:
    from callsheet._connection import Connection

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_clients = Clients()


def close_on_signals(client: Connection) -> None:
    """Close `client` when a signal asks this process to end."""
    for number in _SIGNALS:
        current = signal.getsignal(number)
        # An ignored signal stays ignored. None is a handler that Python did not set and could not call.
        if current in (signal.SIG_IGN, None) or getattr(current, "func", None) is _handle:
            continue
        # Each with the handler before it: one that the program set meanwhile may itself call an earlier one of ours.
        signal.signal(number, functools.partial(_handle, current))
    _clients.add(client)


def _handle(previous: Any, number: int, frame: FrameType | None) -> None:
    # Not one that is being closed: a second signal does not wait for what the first one began.
    clients = [client for client in _clients if not client.closed]
    # The loop that was interrupted goes on, and closes its clients before the signal does what it does.
    later = [client for client in clients if client._is_on_this_loop()]
    for client in clients:
        if client not in later:
            _close(client)
    if not later:
        _pass_on(previous, number, frame)
        return
    left = len(later)

    def ended() -> None:
        nonlocal left
        left -= 1
        if not left:
            _pass_on(previous, number, None)

    for client in later:
        client._close_on_this_loop(ended)


def _close(client: Connection) -> None:
    try:
        client._close_and_wait()
    except Error as error:
        logger.warning("closing %s on a signal: %s", client.source, error)


def _pass_on(previous: Any, number: int, frame: FrameType | None) -> None:
    if callable(previous):
        previous(number, frame)
        return
    # The default action, so that the exit status says which signal it was.
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
