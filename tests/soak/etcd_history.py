"""Every state that etcd was in, as a watch past the proxies told it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .lines import SHOWN
from .parts import FOLLOWED, PREFIX
from .shown import Shown, is_healthy, shown

if TYPE_CHECKING:
    from servers import Etcd

    from .lines import State

#: Silence after which another member is asked: this one may be stopped.
SILENCE = 1.0


class EtcdLine:
    """Every state, one after the other."""

    def __init__(self, healthy: bool) -> None:
        self._healthy = healthy
        self.states: list[State] = [frozenset()]

    def add(self, state: State) -> None:
        seen = frozenset(filter(is_healthy, state)) if self._healthy else state
        if seen != self.states[-1]:
            self.states.append(seen)

    @property
    def latest(self) -> State:
        return self.states[-1]

    @property
    def here(self) -> int:
        return len(self.states) - 1

    def told(self, start: int) -> list[str]:
        first = max(0, start - 2)
        return [
            f"{at}: {sorted(state)}" for at, state in enumerate(self.states[first : start + SHOWN], first)
        ]

    def find(self, state: State, start: int) -> int | None:
        try:
            return self.states.index(state, start)
        except ValueError:
            return None


class EtcdHistory:
    """Follows the store until it is closed. `compact` of the store must not go beyond its `revision`."""

    def __init__(self, members: Sequence[Etcd]) -> None:
        self.revision = 0
        self._lines = {
            (service, healthy): EtcdLine(healthy) for service in FOLLOWED for healthy in (True, False)
        }
        self._now: dict[str, dict[str, Shown]] = {service: {} for service in FOLLOWED}
        self._members = members
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="history")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def line(self, service: str, healthy: bool) -> EtcdLine:
        return self._lines[service, healthy]

    @property
    def length(self) -> str:
        return f"{self.revision} revisions of the store"

    def take(self, events: Sequence[dict[str, Any]], revision: int) -> None:
        """One transaction, which is one state."""
        changed = set()
        for event in events:
            key = b64decode(event["kv"]["key"]).decode(errors="surrogateescape")
            service, _, known_as = key.removeprefix(PREFIX).partition("/")
            if service not in self._now:
                continue
            changed.add(service)
            self._now[service].pop(known_as, None)
            value = b64decode(event["kv"].get("value", ""))
            if event.get("type") != "DELETE" and (instance := shown(key, value)) is not None:
                self._now[service][known_as] = instance[1]
        for service in changed:
            state = frozenset(self._now[service].values())
            for healthy in (True, False):
                self._lines[service, healthy].add(state)
        self.revision = revision

    # --- The watch ----------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        turn = 0
        while not self._closed.is_set():
            turn += 1
            member = self._members[turn % len(self._members)]
            if member.serving:
                try:
                    self._watch(member.endpoint)
                except (OSError, http.client.HTTPException, ValueError):
                    pass  # cut off somewhere, and nothing of a line that is not whole was taken
            time.sleep(0.01)

    def _watch(self, endpoint: str) -> None:
        connection = http.client.HTTPConnection(endpoint, timeout=SILENCE)
        prefix, end = (b64encode(text.encode()).decode() for text in (PREFIX, PREFIX[:-1] + "0"))
        request = {"key": prefix, "range_end": end, "start_revision": str(self.revision + 1)}
        try:
            connection.request("POST", "/v3/watch", json.dumps({"create_request": request}))
            answer = connection.getresponse()
            while (line := answer.readline()) and not self._closed.is_set():
                self._read(json.loads(line))
        finally:
            connection.close()

    def _read(self, message: dict[str, Any]) -> None:
        result = message.get("result", {})
        if "compact_revision" in result:
            raise RuntimeError(f"the history has a hole: {message}")
        by_revision: dict[int, list[dict[str, Any]]] = {}
        for event in result.get("events", []):
            by_revision.setdefault(int(event["kv"]["mod_revision"]), []).append(event)
        for revision in sorted(by_revision):
            self.take(by_revision[revision], revision)
