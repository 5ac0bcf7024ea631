"""The states that Consul was in, as each server told them in a query that waits. A state that came and went while all
three were being asked anew is not known, but only what changed between its neighbours can have been otherwise in it.
"""

from __future__ import annotations

import bisect
import json
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from servers import Unreachable

from .consul_shown import shown_all
from .parts import SERVICES
from .shown import Shown, is_healthy

if TYPE_CHECKING:
    from servers import Agent

    from .lines import State

#: How long a query waits, and how long a server may be silent.
WAIT = 5
SILENCE = 8.0

#: Id → the instance, and what names this very state of its entry.
Moment = Mapping[str, tuple[Shown, object]]


class Moments:
    """Of one service, by Consul's index. A place is twice that; the one before it is between two moments."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.indexes: list[int] = [0]
        self.at: dict[int, Moment] = {0: {}}

    def add(self, index: int, moment: Moment) -> None:
        with self.lock:
            if index not in self.at:
                bisect.insort(self.indexes, index)
                self.at[index] = moment


class ConsulLine:
    """Moments as those see them who see all or only the healthy ones."""

    def __init__(self, moments: Moments, healthy: bool) -> None:
        self._moments = moments
        self._healthy = healthy

    @property
    def latest(self) -> State:
        with self._moments.lock:
            return self._state(self._moments.at[self._moments.indexes[-1]])

    @property
    def here(self) -> int:
        with self._moments.lock:
            return 2 * self._moments.indexes[-1]

    def find(self, state: State, start: int) -> int | None:
        moments = self._moments
        with moments.lock:
            first = bisect.bisect_left(moments.indexes, (start + 1) // 2)
            for number in range(max(first, 1), len(moments.indexes)):
                index = moments.indexes[number]
                before, after = moments.at[moments.indexes[number - 1]], moments.at[index]
                if 2 * index - 1 >= start and self._between(state, before, after):
                    return 2 * index - 1
                if state == self._state(after):
                    return 2 * index
            return 0 if start == 0 and not state else None

    def _state(self, moment: Moment) -> State:
        return frozenset(word for word, _ in moment.values() if self._is_seen(word))

    def _is_seen(self, word: Shown) -> bool:
        return is_healthy(word) or not self._healthy

    def _between(self, state: State, before: Moment, after: Moment) -> bool:
        """Whether it may have been so between two moments: what did not change is in it, and else only what did."""
        changed = {id for id in before.keys() | after.keys() if before.get(id) != after.get(id)}
        if len(changed) < 2 and not _went_on(before, after, changed):
            return False  # one step, without anything between
        kept = {word for id, (word, _) in before.items() if id not in changed and self._is_seen(word)}
        others = state - kept
        ids = [word.split(" ")[0] for word in others]
        return (
            kept <= state
            and changed.issuperset(ids)
            and len(set(ids)) == len(ids)
            and all(_may_be(word, before, after) for word in others)
        )


def _went_on(before: Moment, after: Moment, changed: set[str]) -> bool:
    """Whether one that changed was in both, so that it may have changed more than once."""
    return any(id in before and id in after for id in changed)


def _may_be(word: Shown, before: Moment, after: Moment) -> bool:
    """Whether an instance may have been so between two moments. Its updates are counted."""
    id, n, _ = word.split(" ")
    least, most = (moment[id][0].split(" ")[1] if id in moment else None for moment in (before, after))
    if not n.isdigit():
        return n in (least, most)
    return (least is None or not least.isdigit() or int(least) <= int(n)) and (
        most is None or not most.isdigit() or int(n) <= int(most)
    )


class ConsulHistory:
    """Follows three servers until it is closed."""

    def __init__(self, servers: Sequence[Agent]) -> None:
        self._moments = {service: Moments() for service in SERVICES}
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(server, service), name=f"history of {server.name}")
            for server in servers
            for service in SERVICES
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def line(self, service: str, healthy: bool) -> ConsulLine:
        return ConsulLine(self._moments[service], healthy)

    @property
    def length(self) -> str:
        return f"{sum(len(moments.indexes) for moments in self._moments.values())} states of the catalog"

    def _follow(self, server: Agent, service: str) -> None:
        index = 0
        while not self._closed.is_set():
            if not server.serving:
                time.sleep(0.02)
                continue
            try:
                answer = server.api().answer(
                    "GET",
                    f"health/service/{service}",
                    stale=True,
                    # Answers in an order are made of what the server itself has; others it may have streamed to it.
                    near="_agent",
                    index=index,
                    wait=f"{WAIT}s",
                    timeout=SILENCE,
                )
            except Unreachable:
                time.sleep(0.02)
                continue
            if answer.status != 200 or answer.headers["X-Consul-KnownLeader"] != "true":
                time.sleep(0.02)
                continue
            index = int(answer.headers["X-Consul-Index"])
            self._moments[service].add(index, shown_all(json.loads(answer.body)))
