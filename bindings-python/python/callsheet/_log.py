"""The core's log lines, handed to the logger ``callsheet`` by a daemon thread that the first client starts."""

from __future__ import annotations

import logging
import os
import threading

from callsheet import _callsheet

logger = logging.getLogger("callsheet")
logger.addHandler(logging.NullHandler())

_LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG - 5,
}

# The process whose lines are being drained: threads do not survive a fork.
_drained: int | None = None


def capture() -> None:
    """Keep the lines that the logger would show as it is configured now, and see that they reach it."""
    global _drained
    effective = logger.getEffectiveLevel()
    shown = (word for word, level in _LEVELS.items() if level >= effective)
    _callsheet.capture_log(min(shown, key=_LEVELS.__getitem__, default="error"))
    if _drained == os.getpid():
        return
    _drained = os.getpid()
    try:
        threading.Thread(target=_drain, name="callsheet-log", daemon=True).start()
    except RuntimeError:
        # The interpreter is on its way out, or out of threads: no reason to refuse a connection.
        _drained = None


def _drain() -> None:
    while (line := _callsheet.next_log_line(True)) is not None:
        _hand_over(*line)


def flush() -> None:
    """Hand over what is waiting."""
    while (line := _callsheet.next_log_line(False)) is not None:
        _hand_over(*line)


def _hand_over(level: str, message: str) -> None:
    try:
        logger.log(_LEVELS[level], "%s", message)
    except Exception:
        # A handler that raises must not end the thread; `logging` reports its own failures.
        pass
