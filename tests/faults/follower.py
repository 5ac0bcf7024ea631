"""What one watch of a service has been told, kept for tests that wait for it or look back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import callsheet

# Snapshots remembered: more than a test makes, less than a test could mind.
HISTORY = 20_000


@dataclass(frozen=True)
class Seen:
    at: float
    ids: tuple[str, ...]
    freshness: str


class Follower:
    """By `Client.on_change`, so that hundreds take one thread. Instances of every status are seen."""

    def __init__(self, client: callsheet.Client, service: str) -> None:
        self.service = service
        self.latest: callsheet.Snapshot | None = None
        self.history: deque[Seen] = deque(maxlen=HISTORY)
        self._news = threading.Condition()
        self._subscription = client.on_change(service, self._take, healthy=False)

    def close(self) -> None:
        self._subscription.close()

    def until(self, condition: Callable[[callsheet.Snapshot], bool], deadline: float) -> float:
        """Waits for a snapshot for which `condition` holds; how many seconds that took."""
        began = time.monotonic()
        with self._news:
            found = self._news.wait_for(lambda: self.latest is not None and condition(self.latest), deadline)
        assert found, f"{self.service} was not seen so within {deadline:g} s: {self.told()}"
        return time.monotonic() - began

    def until_ids(self, ids: set[str], deadline: float) -> float:
        """Waits until exactly these are live."""
        return self.until(lambda latest: latest.freshness == "live" and _ids(latest) == ids, deadline)

    def told(self) -> str:
        latest = self.latest
        if latest is None:
            return "nothing yet"
        why = f" ({latest.last_error})" if latest.last_error else ""
        return f"{latest.freshness}, {[instance.id for instance in latest][:20]}{why}"

    def _take(self, snapshot: callsheet.Snapshot) -> None:
        seen = Seen(time.monotonic(), tuple(instance.id for instance in snapshot), snapshot.freshness)
        with self._news:
            self.history.append(seen)
            self.latest = snapshot
            self._news.notify_all()


def _ids(snapshot: callsheet.Snapshot) -> set[str]:
    return {instance.id for instance in snapshot}
