"""A schedule comes from its seed alone, and asks for nothing that can't be done."""

from __future__ import annotations

import itertools

from soak.parts import SLOTS
from soak.schedule import INSTANT, NETWORK, PROCESS, Step, schedule

SEEDS = range(40)


def test_a_seed_gives_one_schedule_and_a_longer_one_goes_on() -> None:
    assert schedule(7, 30) == schedule(7, 30) != schedule(8, 30)
    short, long = schedule(7, 30), schedule(7, 300)
    assert [(step.at, step.kind, step.whom) for step in short] == [
        (step.at, step.kind, step.whom) for step in long[: len(short)]
    ]


def test_faults_end_within_the_run() -> None:
    for seed in SEEDS:
        steps = schedule(seed, 30)
        assert steps == sorted(steps, key=lambda step: step.at)
        assert all(step.at + step.lasts <= 30 for step in steps)


def test_a_member_has_one_fault_at_a_time() -> None:
    for seed in SEEDS:
        for member in ("m0", "m1", "m2"):
            its = [step for step in schedule(seed, 120) if member in step.whom]
            assert all(one.at + one.lasts <= two.at for one, two in itertools.pairwise(its))


def test_everything_happens() -> None:
    steps = [step for seed in SEEDS for step in schedule(seed, 30)]
    kinds = {step.kind for step in steps}
    data = {"compact", "revoke", "delete", "spoil", "usurp", "litter", "guests"}
    assert {
        *NETWORK,
        *PROCESS,
        *INSTANT,
        *data,
        "freeze",
        "rewatch",
        "open",
        "update",
        "drain",
        "close",
    } == kinds
    assert {len(step.whom) for step in steps if step.kind in NETWORK} == {1, 2, 3}


def test_programs_do_what_they_may() -> None:
    def may(state: str, step: Step) -> str:
        assert (
            step.kind
            in {"open": ("update", "drain", "close"), "draining": ("close",), "closed": ("open",)}[state]
        )
        return {"open": "open", "update": "open", "drain": "draining", "close": "closed"}[step.kind]

    for seed in SEEDS:
        steps = [step for step in schedule(seed, 120) if step.kind in ("open", "update", "drain", "close")]
        for slot in SLOTS:
            state = "open"
            for step in (step for step in steps if step.whom == (slot.name,)):
                state = may(state, step)
