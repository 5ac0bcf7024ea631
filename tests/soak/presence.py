"""Who of the providers listened when, and so which calls may fail: those at one that had just gone. The registry's
faults alone are no excuse; what callers could not hear of because of them is.

Times are those of the machine's clock, which all programs share.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass

#: How long a provider's end may take to be known, beside its TTL, on a registry that nothing is done to.
MARGIN = 5.0
#: What is said of a moment by two processes is this near.
SLACK = 0.1


@dataclass(frozen=True)
class Failure:
    """A call that failed, or one attempt of it."""

    tried: tuple[str, ...]
    began: float
    ended: float
    why: str


@dataclass
class Span:
    began: float
    ended: float = math.inf


class Presence:
    def __init__(self, ttl: float, late: float, keepers: tuple[str, ...] = ()) -> None:
        """`late`: how long a registry may need, after the faults, to tell what it was told during them. `keepers` are
        those whose data is all there is, if there are such: a registry of which all forgot has none to show.
        """
        self._ttl = ttl
        self._late = late
        self._forgot: dict[str, list[float]] = {one: [] for one in keepers}
        self._lock = threading.Lock()
        self._absences: dict[str, list[Span]] = {}
        self._faults: list[Span] = []

    def came(self, who: str, at: float) -> None:
        with self._lock:
            self._absences.setdefault(who, [Span(-math.inf)])[-1].ended = at

    def left(self, who: str, at: float) -> None:
        """Once more is fine: one that has left is killed at last."""
        with self._lock:
            spans = self._absences.setdefault(who, [Span(-math.inf)])
            if spans[-1].ended < math.inf:
                spans.append(Span(at))

    def hurt(self, at: float) -> None:
        """The registry is, or the programs; until `healed`."""
        if not self._faults or self._faults[-1].ended < math.inf:
            self._faults.append(Span(at))

    def healed(self, at: float) -> None:
        if self._faults:
            self._faults[-1].ended = min(self._faults[-1].ended, at)

    def forgot(self, keepers: Iterable[str], at: float) -> None:
        """Everything that they had been told."""
        for one in keepers:
            self._forgot[one].append(at)

    def judge(self, name: str, calls: list[Failure], attempts: list[Failure]) -> list[str]:
        """What failed at `name` for no good reason."""
        wrong = []
        for attempt in attempts:
            wrong += [
                f"{self._when(attempt)} {name} failed at {who}, {reason}: {attempt.why}"
                for who, reason in self._unexcused(attempt)
            ]
        for call in calls:
            when = self._when(call)
            if not call.tried and not self._was_empty(call):
                waited = call.ended - call.began
                wrong.append(f"{when} {name} waited {waited:.1f} s for one to call: {call.why}")
            wrong += [
                f"{when} {name} failed a call at {who}, {reason}: {call.why}"
                for who, reason in self._unexcused(call)
            ]
        return wrong

    def _was_empty(self, call: Failure) -> bool:
        since = call.began - self._late
        return bool(self._forgot) and all(
            any(since <= at <= call.ended for at in times) for times in self._forgot.values()
        )

    def _when(self, failure: Failure) -> str:
        """Seconds after the first fault, as the log of the run counts them."""
        first = self._faults[0].began if self._faults else failure.began
        return f"{failure.began - first:.1f} s:"

    def _unexcused(self, failure: Failure) -> list[tuple[str, str]]:
        with self._lock:
            found = ((who, self._reason(who, failure)) for who in failure.tried)
            return [(who, reason) for who, reason in found if reason]

    def _reason(self, who: str, failure: Failure) -> str | None:
        """Why that is no excuse."""
        began, ended = failure.began - SLACK, failure.ended + SLACK
        spans = [span for span in self._absences.get(who, []) if span.began <= ended and began <= span.ended]
        if not spans:
            return "who listened all the while"
        left, fault = spans[-1].began, self._last_fault(began)
        calm = began - max(left, fault)
        if calm > self._ttl + (MARGIN if fault < left else self._late):
            return f"who had been gone for {calm:.1f} s of calm"
        return None

    def _last_fault(self, at: float) -> float:
        """When it was that something was hurt, up to then."""
        return max((min(span.ended, at) for span in self._faults if span.began <= at), default=-math.inf)
