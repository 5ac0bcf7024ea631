"""Calls may fail at those who had just gone, and nowhere else."""

from __future__ import annotations

import pytest

from soak.presence import MARGIN, Failure, Presence

TTL = 10.0
LATE = 30.0


@pytest.fixture
def presence() -> Presence:
    """One that is there from 100 on, and away from 200 to 300."""
    presence = Presence(TTL, LATE)
    presence.came("p0", 100)
    presence.left("p0", 200)
    presence.came("p0", 300)
    return presence


def failed(*tried: str, at: float) -> Failure:
    return Failure(tried, at, at + 0.01, "refused")


def test_who_had_just_gone_may_be_called_in_vain(presence: Presence) -> None:
    for at in (200, 201, 199.99, 200 + TTL):
        assert presence.judge("go", [failed("p0", at=at)], [failed("p0", at=at)]) == []


def test_who_listens_answers(presence: Presence) -> None:
    for at in (150, 301):
        (wrong,) = presence.judge("go", [], [failed("p0", at=at)])
        assert wrong == "0.0 s: go failed at p0, who listened all the while: refused"


def test_who_went_long_ago_is_not_called(presence: Presence) -> None:
    (wrong,) = presence.judge("go", [], [failed("p0", at=202 + TTL + MARGIN)])
    assert "who had been gone for" in wrong


def test_what_could_not_be_heard_of_is_an_excuse_until_it_could(presence: Presence) -> None:
    presence.hurt(190)
    presence.hurt(195)
    presence.healed(250)
    assert presence.judge("go", [], [failed("p0", at=249 + TTL + LATE)]) == []
    assert len(presence.judge("go", [], [failed("p0", at=252 + TTL + LATE)])) == 1
    assert len(presence.judge("go", [], [failed("p0", at=310)])) == 1


def test_what_was_over_before_is_none(presence: Presence) -> None:
    presence.hurt(150)
    presence.healed(199)
    assert len(presence.judge("go", [], [failed("p0", at=202 + TTL + MARGIN)])) == 1


def test_each_attempt_of_a_call_needs_its_excuse(presence: Presence) -> None:
    presence.came("p1", 100)
    (wrong,) = presence.judge("go", [failed("p0", "p1", at=201)], [])
    assert wrong == "0.0 s: go failed a call at p1, who listened all the while: refused"


def test_there_is_always_one_to_call(presence: Presence) -> None:
    (wrong,) = presence.judge("go", [Failure((), 10, 15, "no instance")], [])
    assert wrong == "0.0 s: go waited 5.0 s for one to call: no instance"


def test_one_that_left_and_was_killed_left_once(presence: Presence) -> None:
    presence.left("p0", 400)
    presence.left("p0", 450)
    assert len(presence.judge("go", [], [failed("p0", at=402 + TTL + MARGIN)])) == 1


def test_a_registry_of_which_all_forgot_has_none_to_call() -> None:
    presence = Presence(TTL, LATE, ("a0", "a1"))
    waited = [Failure((), 110, 115, "no instance")]
    assert len(presence.judge("go", waited, [])) == 1
    presence.forgot(["a0"], 109)
    assert len(presence.judge("go", waited, [])) == 1, "the other one had some"
    presence.forgot(["a1"], 100)
    assert presence.judge("go", waited, []) == []
    for later in (116, 110 + LATE):
        assert len(presence.judge("go", [Failure((), 110 + later, 115 + later, "no instance")], [])) == 1
