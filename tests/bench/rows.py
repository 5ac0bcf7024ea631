"""What a row of the table is."""

from __future__ import annotations

import statistics
from typing import TypedDict


class Row(TypedDict):
    """One line: a figure as minimum, median and maximum, or a text where there is more to say than a number."""

    name: str
    unit: str
    figure: list[float] | str
    floor: str
    floor_figure: list[float] | None
    goal: str


def row(
    name: str,
    unit: str,
    figure: list[float] | str,
    floor: str = "-",
    floor_figure: list[float] | None = None,
    goal: str = "-",
) -> Row:
    """One line of the table."""
    return Row(name=name, unit=unit, figure=figure, floor=floor, floor_figure=floor_figure, goal=goal)


def spread(values: list[float]) -> list[float]:
    """Minimum, median and maximum."""
    return [min(values), statistics.median(values), max(values)]
