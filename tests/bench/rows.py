"""What a row of the table is, and what can be told from it."""

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


def shown(figure: list[float] | str | None, unit: str) -> str:
    """Minimum, median and maximum; one value where these are the same."""
    if figure is None:
        return "-"
    if isinstance(figure, str):
        return figure
    counts = all(value == int(value) for value in figure)
    digits = 0 if counts or figure[1] >= 100 else 1 if figure[1] >= 10 else 2 if figure[1] >= 0.1 else 3
    low, middle, high = (f"{value:,.{digits}f}" for value in figure)
    return f"{middle} {unit}" if low == high else f"{middle} {unit} ({low} to {high})"


def ratio(row: Row) -> float | None:
    """The median over the one beside it."""
    figure, floor = row["figure"], row["floor_figure"]
    # What took no longer than what it is counted over has no ratio.
    if not floor or isinstance(figure, str) or min(figure[1], floor[1]) <= 0:
        return None
    return figure[1] / floor[1]


def reached(row: Row) -> bool | None:
    """Whether the median is within a goal that is a number of the row's unit, or times what is beside it."""
    number, _, of = row["goal"].partition(" ")
    value = ratio(row) if of == "x" else row["figure"][1] if row["unit"].startswith(of) else None
    if value is None or isinstance(value, str) or not number.replace(".", "", 1).isdigit():
        return None
    # What is shown as the goal has reached it.
    return value <= 1.005 * float(number)
