"""The states that Consul was in, as each server told them in a query that waits.

A state that came and went while all three were being asked anew is not known. What is the very same entry in both its
neighbours was in it as well; what changed between them can have been otherwise, with a count that is not below the one
before and not above the one after; and what comes and goes, as guests and usurpers do, may have come and gone, if the
index of Consul leaves room for that.
"""

from __future__ import annotations

import bisect
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from servers import Unreachable

from .consul_shown import shown_all
from .lines import SHOWN
from .parts import FOLLOWED
from .shown import Shown, is_healthy

if TYPE_CHECKING:
    from servers import Agent

    from .lines import State

#: What nodes without an agent are called.
GUESTS = "elsewhere-"
#: Steps of Consul's index in which something comes and goes.
COME_AND_GO = 2
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

    def told(self, start: int) -> list[str]:
        with self._moments.lock:
            first = max(0, bisect.bisect_left(self._moments.indexes, start // 2) - 2)
            shown = self._moments.indexes[first : first + SHOWN]
            return [f"{2 * index}: {sorted(self._state(self._moments.at[index]))}" for index in shown]

    def find(self, state: State, start: int) -> int | None:
        moments = self._moments
        with moments.lock:
            first = bisect.bisect_left(moments.indexes, (start + 1) // 2)
            for number in range(max(first, 1), len(moments.indexes)):
                index = moments.indexes[number]
                if 2 * index - 1 >= start and self._between(state, number):
                    return 2 * index - 1
                if state == self._state(moments.at[index]):
                    return 2 * index
            return 0 if start == 0 and not state else None

    def _state(self, moment: Moment) -> State:
        return frozenset(word for word, _ in moment.values() if self._is_seen(word))

    def _is_seen(self, word: Shown) -> bool:
        return is_healthy(word) or not self._healthy

    def _between(self, state: State, number: int) -> bool:
        """Whether it may have been so just before a moment, and after the one before it."""
        indexes = self._moments.indexes[number - 1 : number + 1]
        before, after = (self._moments.at[index] for index in indexes)
        room = indexes[1] - indexes[0] > COME_AND_GO
        changed = {id for id in before.keys() | after.keys() if before.get(id) != after.get(id)}
        kept = {word for id, (word, _) in before.items() if id not in changed and self._is_seen(word)}
        others = [word.split(" ") for word in state - kept]
        ids = {id for id, _, _ in others}
        known = before.keys() | after.keys()
        went = {
            id
            for id, n, _ in others
            if room and (id not in known or not n.isdigit()) and self._comes_and_goes(id)
        }
        if len(changed) < 2 and not _went_on(before, after, changed) and not went:
            return False  # one step, without anything between
        return (
            kept <= state
            and len(ids) == len(others)
            and ids.isdisjoint(known - changed)
            and ids <= changed | went
            and all(
                self._may_be(id, n, number) if n.isdigit() else room or id in changed for id, n, _ in others
            )
        )

    def _comes_and_goes(self, id: str) -> bool:
        return id.startswith(GUESTS) or any(id in moment for moment in self._moments.at.values())

    def _may_be(self, id: str, n: str, number: int) -> bool:
        """Whether an instance may have been so before a moment. Its updates are counted."""
        earlier = self._count(id, range(number - 1, -1, -1))
        later = self._count(id, range(number, len(self._moments.indexes)))
        return (earlier is None or earlier <= int(n)) and (later is None or int(n) <= later)

    def _count(self, id: str, numbers: Iterable[int]) -> int | None:
        """The first count of an instance that is known of these moments."""
        for number in numbers:
            word, _ = self._moments.at[self._moments.indexes[number]].get(id, ("  ", None))
            if (n := word.split(" ")[1]).isdigit():
                return int(n)
        return None


def _went_on(before: Moment, after: Moment, changed: set[str]) -> bool:
    """Whether one that changed was in both, so that it may have changed more than once."""
    return any(id in before and id in after for id in changed)


class ConsulHistory:
    """Follows three servers until it is closed."""

    def __init__(self, servers: Sequence[Agent]) -> None:
        self._moments = {service: Moments() for service in FOLLOWED}
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(server, service), name=f"history of {server.name}")
            for server in servers
            for service in FOLLOWED
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
