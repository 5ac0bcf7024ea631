"""What `is` asks for, held beside what was seen."""

from __future__ import annotations

from typing import Any


def difference(path: str, expected: Any, seen: Any) -> str | None:
    """The first difference between what `is` asks for and what was seen."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        found = (difference(f"{path}.{key}", value, seen.get(key)) for key, value in expected.items())
        return next(filter(None, found), None)
    if isinstance(expected, list) and isinstance(seen, list) and len(expected) == len(seen):
        pairs = enumerate(zip(expected, seen, strict=True))
        return next(filter(None, (difference(f"{path}[{at}]", *pair) for at, pair in pairs)), None)
    if isinstance(expected, dict) and all(holds(*item, seen) for item in expected.items()):
        return None
    same = expected == seen and isinstance(expected, bool) == isinstance(seen, bool)
    return None if same else f"expected {path} {expected!r}, saw {seen!r}"


def holds(operator: str, operand: Any, seen: Any) -> bool:
    """Whether `seen` is as an operator asks."""
    if operator in ("least", "most"):
        return isinstance(seen, int | float) and (seen >= operand if operator == "least" else seen <= operand)
    if isinstance(seen, str) or not isinstance(seen, list):
        return isinstance(seen, str) and (operand in seen) == (operator == "has")
    if operator == "lacks":
        return not any(unwanted in seen for unwanted in operand)
    rest = iter(seen)
    return all(wanted in rest for wanted in operand)  # in this order
