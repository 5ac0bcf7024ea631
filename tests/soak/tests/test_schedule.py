"""A schedule comes from its seed alone, and asks for nothing that can't be done."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from soak import consul_ground, etcd_ground
from soak.parts import SERVED, SLOTS
from soak.schedule import ABSENCES, AWAY, PROVIDERS, Step, schedule

if TYPE_CHECKING:
    from soak.ground import Menu

SEEDS = range(40)
MENUS = pytest.mark.parametrize("menu", [etcd_ground.MENU, consul_ground.MENU], ids=["etcd", "consul"])


@MENUS
def test_a_seed_gives_one_schedule_and_a_longer_one_goes_on(menu: Menu) -> None:
    assert schedule(7, 30, menu) == schedule(7, 30, menu) != schedule(8, 30, menu)
    short, long = schedule(7, 30, menu), schedule(7, 300, menu)
    assert [(step.at, step.kind, step.whom) for step in short] == [
        (step.at, step.kind, step.whom) for step in long[: len(short)]
    ]


@MENUS
def test_faults_end_within_the_run(menu: Menu) -> None:
    for seed in SEEDS:
        steps = schedule(seed, 30, menu)
        assert steps == sorted(steps, key=lambda step: step.at)
        assert all(step.at + step.lasts <= 30 for step in steps)


@MENUS
def test_a_member_has_one_fault_at_a_time(menu: Menu) -> None:
    for seed in SEEDS:
        for member in menu.members:
            its = [step for step in schedule(seed, 120, menu) if member in step.whom]
            assert all(one.at + one.lasts <= two.at for one, two in itertools.pairwise(its))


@MENUS
def test_everything_happens(menu: Menu) -> None:
    steps = [step for seed in SEEDS for step in schedule(seed, 30, menu)]
    kinds = {step.kind for step in steps}
    faults = {kind for group in menu.groups for kind in group.faults}
    actions = {"rewatch", "open", "update", "drain", "close"}
    assert {*faults, *menu.data, *ABSENCES, "die", "freeze"} | actions == kinds
    for group in menu.groups:
        counts = {count for counts in group.faults.values() for count in counts}
        hurt = {len(step.whom) for step in steps if set(step.whom) & set(group.members)}
        assert hurt == counts


@MENUS
def test_programs_do_what_they_may(menu: Menu) -> None:
    def may(state: str, step: Step) -> str:
        assert (
            step.kind
            in {"open": ("update", "drain", "close"), "draining": ("close",), "closed": ("open",)}[state]
        )
        return {"open": "open", "update": "open", "drain": "draining", "close": "closed"}[step.kind]

    for seed in SEEDS:
        steps = [
            step for step in schedule(seed, 120, menu) if step.kind in ("open", "update", "drain", "close")
        ]
        for slot in SLOTS:
            state = "open"
            for step in (step for step in steps if step.whom == (slot.name,)):
                state = may(state, step)


@MENUS
def test_three_providers_are_there_at_any_time(menu: Menu) -> None:
    longest = 0.0
    for seed in SEEDS:
        absences = [step for step in schedule(seed, 120, menu) if step.kind in ABSENCES]
        for step in absences:
            away = [one.whom for one in absences if one.at <= step.at < one.at + one.lasts]
            assert len(away) == len(set(away)) <= AWAY <= len(PROVIDERS) - 3
        longest = max(longest, *(step.lasts for step in absences))
    assert longest > max(slot.ttl for slot in SERVED), "none is away for so long that the registry forgets it"
