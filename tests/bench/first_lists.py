"""From nothing to the first list of many instances, of callsheet and of its peers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

from languages import Language, led

if TYPE_CHECKING:
    from pairs import Contest
    from places import Place
    from rows import Row

LISTS = 11


def rows(contest: Contest, languages: list[Language], place: Place, count: int) -> Iterator[Row]:
    """All languages in turns."""
    took: dict[str, list[float]] = {language.name: [] for language in languages}
    with ExitStack() as stack:
        listers = [stack.enter_context(led(*language.on("first", place))) for language in languages]
        for turn in range(LISTS):
            at = turn % len(listers)
            for lister in listers[at:] + listers[:at]:
                lister.go_on()
                milliseconds, read = lister.said().split()
                if int(read) < 10 * count:
                    sys.exit(f"{lister.what} read too little: {read} characters")
                took[lister.what].append(float(milliseconds))
    for pair in contest.pairs:
        name = f"{pair.language} connect to first list of {count:,} instances, {contest.registry}:"
        yield from contest.rows(name, "ms", took, pair, pair.first)
