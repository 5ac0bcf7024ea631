"""What lies between two states that are known is explained by what changed, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from soak.consul_history import ConsulLine, Moment, Moments
from soak.consul_shown import shown_all


def moment(*words: str, stamp: int = 0) -> Moment:
    return {word.split(" ")[0]: (word, stamp) for word in words}


def line_of(*moments: Moment, healthy: bool = False) -> ConsulLine:
    known = Moments()
    for number, each in enumerate(moments, 1):
        known.add(10 * number, each)
    return ConsulLine(known, healthy)


A, B, C = "a 1 passing", "b 1 passing", "c 1 passing"


def test_states_are_found_where_they_were() -> None:
    line = line_of(moment(A), moment(A, B), moment(B))
    assert line.find(frozenset({A}), 0) == 20
    assert line.find(frozenset({B}), 20) == 60
    assert line.find(frozenset({A}), 21) is None
    assert (line.here, line.latest) == (60, frozenset({B}))


def test_before_anything_there_is_nothing() -> None:
    line = line_of(moment(A))
    assert line.find(frozenset(), 0) == 0
    assert line.find(frozenset(), 1) is None


@pytest.mark.parametrize(
    ("between", "found"),
    [
        ({A}, True),
        ({A, C}, True),
        ({A, B, C}, True),
        (set(), False),
        ({B}, False),
        ({A, "d 1 passing"}, False),
        ({A, "b 1 passing", "b 1 critical"}, False),
    ],
)
def test_what_changed_may_have_changed_one_by_one(between: set[str], found: bool) -> None:
    line = line_of(moment(A, B), moment(A, C))
    assert (line.find(frozenset(between), 21) is not None) == found


def test_updates_are_counted() -> None:
    line = line_of(moment("a 3 passing"), moment("a 6 passing", stamp=1))
    assert line.find(frozenset({"a 4 critical"}), 21) == 39
    assert line.find(frozenset({"a 2 passing"}), 21) is None
    assert line.find(frozenset({"a 7 passing"}), 21) is None
    assert line.find(frozenset(), 21) == 39


def test_what_comes_and_goes_may_have_come_and_gone() -> None:
    line = line_of(moment(A, B), moment(B), moment(B, "a 4 passing"))
    guest = "elsewhere-guests-a-0 g0 passing"
    assert line.find(frozenset({B, guest}), 41) == 59
    assert line.find(frozenset({B, guest, "a 2 passing"}), 41) == 59
    assert line.find(frozenset({B, "a usurper critical"}), 41) == 59
    assert line.find(frozenset({guest}), 41) is None, "what did not change was there"
    assert line.find(frozenset({B, "a 5 passing"}), 41) is None, "updates are counted"
    assert line.find(frozenset({B, "d 1 passing"}), 41) is None, "who was never there"
    near = Moments()
    near.add(10, moment(B))
    near.add(12, moment(B, stamp=1))
    assert ConsulLine(near, healthy=False).find(frozenset({B, guest}), 21) is None, "there was no room"


def test_one_step_has_nothing_in_between() -> None:
    line = line_of(moment(A, B), moment(A))
    assert line.find(frozenset({A, "b 1 critical"}), 21) is None


def test_the_healthy_ones_alone() -> None:
    line = line_of(moment(A, "b 1 critical"), moment(A, B), healthy=True)
    assert line.find(frozenset({A}), 20) == 20
    assert line.find(frozenset(), 20) is None


def entry(id: str, *statuses: str, node: str = "n", port: int = 80) -> dict[str, Any]:
    checks = [{"CheckID": f"c{at}", "Status": status, "ModifyIndex": 1} for at, status in enumerate(statuses)]
    service = {
        "ID": id,
        "Address": "10.0.0.1",
        "Port": port,
        "Meta": {"n": "3"},
        "CreateIndex": 1,
        "ModifyIndex": 1,
    }
    return {"Node": {"Node": node, "Address": ""}, "Service": service, "Checks": checks}


def test_entries_are_read() -> None:
    found = shown_all([entry("a", "passing", "warning"), entry("b"), entry("none", port=0)])
    assert [word for word, _ in found.values()] == ["a 3 warning", "b 3 passing"]
    assert list(shown_all([entry("a"), entry("a", node="m")])) == ["a@n", "a@m"]
