"""What must hold on every registry once everything is healed: all watchers, and all that programs were asked to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .shown import Shown, is_healthy

if TYPE_CHECKING:
    from .crew import Crew
    from .parts import Watcher
    from .track import Track


def of_crew(crew: Crew) -> list[str]:
    return [
        *(f"{process.part.name} has not answered everything" for process in crew if process.unanswered),
        *(f"{entry.slot.name} is not settled" for entry in crew.ledger if not crew.is_settled(entry)),
    ]


def of_watchers(watchers: Iterable[tuple[Watcher, Track]], read: Iterable[tuple[str, Shown]]) -> list[str]:
    """Live, and what a fresh read of each service gives: its name, and an instance."""
    found = list(read)
    wrong = []
    for watcher, track in watchers:
        truth = {word for service, word in found if service == watcher.service}
        truth = set(filter(is_healthy, truth)) if watcher.healthy else truth
        if track.freshness != "live":
            wrong.append(f"{watcher.name} is {track.freshness or 'without a list'}")
        if track.last != truth:
            lacks, has = sorted(truth - track.last), sorted(track.last - truth)
            wrong.append(f"{watcher.name} of {watcher.service!r} lacks {lacks} and has {has}")
    return wrong
