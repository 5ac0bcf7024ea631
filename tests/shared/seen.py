"""What a client shows of a registry, whichever it is: snapshots, states, errors and their causes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import callsheet


def chain(error: BaseException) -> list[str]:
    """What an error and its causes say."""
    told = []
    cause: BaseException | None = error
    while cause is not None:
        told.append(str(cause))
        cause = cause.__cause__
    return told


def state_of(registration: callsheet.Registration) -> tuple[str, str | None]:
    """The state, and the code of the last error."""
    error = registration.last_error
    return registration.state, error.code if error else None


def registered(client: callsheet.Client, port: int = 80, **options: object) -> callsheet.Registration:
    """An instance of `billing` that is in the registry."""
    registration = client.register("billing", port, "10.0.0.1", **options)  # type: ignore[arg-type]
    assert registration.state == "registered", registration.last_error
    return registration


class Seen:
    """The snapshots of a service that a client is told, healthy or not."""

    def __init__(self, client: callsheet.Client, service: str = "billing", deadline: float = 25) -> None:
        self._deadline = deadline
        self._news = threading.Condition()
        self._snapshots: list[callsheet.Snapshot] = []
        self._subscription = client.on_change(service, self._add, healthy=False)

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.close()

    def _add(self, snapshot: callsheet.Snapshot) -> None:
        with self._news:
            self._snapshots.append(snapshot)
            self._news.notify_all()

    def clear(self) -> None:
        """What was told so far counts no more."""
        with self._news:
            self._snapshots.clear()

    def until(self, wanted: Callable[[callsheet.Snapshot], bool]) -> callsheet.Snapshot:
        """The first one that is wanted; it and those before it count no more."""
        end = time.monotonic() + self._deadline
        last = "nothing"
        with self._news:
            while True:
                while self._snapshots:
                    snapshot = self._snapshots.pop(0)
                    if wanted(snapshot):
                        return snapshot
                    last = f"{snapshot!r} of {list(snapshot)}, {snapshot.last_error}"
                left = end - time.monotonic()
                assert left > 0, f"not within {self._deadline:g} s, the last was {last}"
                self._news.wait(left)


def tagged(tag: str) -> Callable[[callsheet.Snapshot], bool]:
    """Live, with one instance that has this tag."""
    return lambda snapshot: snapshot.freshness == "live" and [one.tags for one in snapshot] == [(tag,)]
