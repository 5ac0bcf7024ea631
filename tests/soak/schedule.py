"""What is done when: derived from the seed alone, and of a longer run the beginning is that of a shorter one."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from .parts import PARTS, REGISTERED, SLOTS

if TYPE_CHECKING:
    from .ground import Group, Menu


@dataclass(frozen=True)
class Step:
    """One fault, or one thing that a program does."""

    at: float
    """Seconds after the start."""
    kind: str
    whom: tuple[str, ...]
    """Members of the cluster, a registration, a watcher, a service or a process."""
    lasts: float = 0
    strength: float = 0
    """Of 0 to 1, from which its figures are made."""


#: What has no duration.
INSTANT = ("cut", "compact", "revoke", "delete", "deregister", "uncheck", "fail", "die")

#: Every so many storms it is calm for so long that callers have to know of all who have gone.
LULL = 5
#: What happens to providers, who come back after it.
ABSENCES = ("crash", "leave")
#: So many of them at once.
AWAY = 3

MORTAL = [part.name for part in PARTS if part.mortal and not part.serves]
REGISTRARS = [part.name for part in PARTS if part.slots and not part.serves]
PROVIDERS = [part.name for part in PARTS if part.serves]


def schedule(seed: int, seconds: float, menu: Menu) -> list[Step]:
    """In order of time. What lasts ends before `seconds`."""
    steps = heapq.merge(_faults(seed, menu), _actions(seed), _absences(seed), key=lambda step: step.at)
    known = itertools.takewhile(lambda step: step.at < seconds, steps)
    return [_clipped(step, seconds) for step in known]


def _clipped(step: Step, seconds: float) -> Step:
    return Step(step.at, step.kind, step.whom, min(step.lasts, seconds - step.at), step.strength)


# --- Faults: storms, and calm between them in which everything is to heal -------------------------------------------


def _faults(seed: int, menu: Menu) -> Iterator[Step]:
    random = Random(f"faults of {seed}")
    begin, number = 0.5, 0
    while True:
        end = begin + random.uniform(5, 15)
        lanes = [
            *(_on_members(random, begin, end, group) for group in menu.groups),
            _on_data(random, begin, end, menu),
            _on_clients(random, begin, end),
        ]
        yield from sorted((step for lane in lanes for step in lane), key=lambda step: step.at)
        number += 1
        begin = end + (random.uniform(2, 6) if number % LULL else random.uniform(30, 45))


def _on_members(random: Random, begin: float, end: float, group: Group) -> Iterator[Step]:
    """One at a time is done to a member; what is for several waits until they are free."""
    faults = [(kind, count) for kind, counts in group.faults.items() for count in counts]
    free_at = dict.fromkeys(group.members, begin)
    at = begin
    while True:
        kind, count = random.choice(faults)
        whom = sorted(sorted(random.sample(list(free_at), len(free_at)), key=free_at.__getitem__)[:count])
        at = max(at, *(free_at[member] for member in whom)) + random.expovariate(1 / 0.4)
        if at >= end:
            return
        lasts = _duration(random, at, end, kind)
        free_at.update(dict.fromkeys(whom, at + lasts))
        yield Step(at, kind, tuple(whom), lasts, random.random())


def _on_data(random: Random, begin: float, end: float, menu: Menu) -> Iterator[Step]:
    at = begin
    slots = tuple(slot.name for slot in REGISTERED)
    while (at := at + random.expovariate(1 / 0.8)) < end:
        kind = random.choice(menu.data)
        whom = menu.targets.get(kind, slots)
        yield Step(at, kind, (random.choice(whom),), _duration(random, at, end, kind), random.random())


def _on_clients(random: Random, begin: float, end: float) -> Iterator[Step]:
    at = begin
    while (at := at + random.expovariate(1 / 5)) < end:
        kind = random.choice(("die", "die", "freeze"))
        lasts = _duration(random, at, end, kind)
        yield Step(at, kind, (random.choice(MORTAL if kind == "die" else REGISTRARS),), lasts)
        # One that is frozen is not killed meanwhile.
        at += lasts


def _duration(random: Random, at: float, end: float, kind: str) -> float:
    """Short ones are as likely as long ones, to 8 s; nothing goes on after the storm."""
    drawn = math.exp(random.uniform(math.log(0.1), math.log(8)))
    return 0 if kind in INSTANT else min(drawn, end - at)


# --- What programs do, storm or not ---------------------------------------------------------------------------------


def _actions(seed: int) -> Iterator[Step]:
    random = Random(f"actions of {seed}")
    watchers = [watcher.name for part in PARTS if part.name in REGISTRARS for watcher in part.watchers]
    may = {slot.name: "update" for slot in SLOTS}
    at = 0.0
    while True:
        at += random.expovariate(1 / 0.3)
        if random.random() < 0.1:
            yield Step(at, "rewatch", (random.choice(watchers),))
            continue
        slot = random.choice(list(may))
        kind = _next_action(random, may[slot])
        may[slot] = "open" if kind == "close" else "close" if kind == "drain" else "update"
        yield Step(at, kind, (slot,))


def _next_action(random: Random, may: str) -> str:
    """One that is draining only closes, one that is closed only opens."""
    return random.choice(("update", "update", "update", "drain", "close")) if may == "update" else may


# --- Providers, which come and go, storm or not -----------------------------------------------------------------------


def _absences(seed: int) -> Iterator[Step]:
    """Some longer than the registry needs to forget one that was killed."""
    random = Random(f"absences of {seed}")
    back = dict.fromkeys(PROVIDERS, 0.0)
    at = 0.0
    while True:
        at += random.expovariate(1 / 3)
        away = sorted(time for time in back.values() if time > at)
        if len(away) >= AWAY:
            at = away[-AWAY]
        name = random.choice([name for name, time in back.items() if time <= at])
        lasts = math.exp(random.uniform(math.log(0.5), math.log(25)))
        back[name] = at + lasts + 1
        yield Step(at, random.choice(ABSENCES), (name,), lasts)
