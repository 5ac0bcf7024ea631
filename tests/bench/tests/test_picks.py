"""A language's pick stands beside the fastest peer of the run, whoever that is, and beside its nearest."""

from __future__ import annotations

import picks
import pytest
from languages import Language

LANGUAGES = [Language(name, ["run", name]) for name in (*picks.SORTS, "asyncio")]


def figures(commands: dict[str, list[str]]) -> picks.Figures:
    """Each takes as many nanoseconds as its name is long."""
    return {what: [float(len(what))] for what in commands}


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("Rust", [picks.GO_ZERO_P2C, picks.TOWER_P2C]),
        ("Go", [picks.GO_ZERO_P2C, picks.KRATOS_P2C]),
        ("Node", [picks.GO_ZERO_P2C]),
    ],
)
def test_the_fastest_has_the_goal_and_the_nearest_stands_beside(
    name: str, beside: list[picks.Picker]
) -> None:
    of = {picks.named(peer.name, "pick", "p2c"): [300.0, 400.0, 500.0] for peer in picks.PEERS["p2c"]}
    of[picks.named(picks.GO_ZERO_P2C.name, "pick", "p2c")] = [200.0, 210.0, 900.0]
    of[picks.named(name, "pick", "p2c")] = [50.0]
    rows = list(picks.beside_peers(name, "p2c", of))
    assert [row["floor"] for row in rows] == [peer.called for peer in beside]
    assert [row["goal"] for row in rows] == [picks.SORTS[name].ahead, *("-" for _ in rows[1:])]


def test_a_peer_that_is_fastest_and_nearest_stands_there_once() -> None:
    of = {picks.named(peer.name, "pick", "p2c"): [300.0] for peer in picks.PEERS["p2c"]}
    of[picks.named(picks.TOWER_P2C.name, "pick", "p2c")] = [200.0]
    of[picks.named("C", "pick", "p2c")] = [50.0]
    assert [row["floor"] for row in picks.beside_peers("C", "p2c", of)] == [picks.TOWER_P2C.called]


def test_everyone_who_has_a_row_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picks, "measured", figures)
    names = [row["name"] for row in picks.rows(LANGUAGES)]
    for name in picks.SORTS:
        for policy in picks.PEERS:
            assert f"{name} pick()+done(), {policy}" in names
    assert f"peer's pick: {picks.KRATOS_P2C.called}, 2 threads, each" in names
    # Nobody can: JavaScript has one thread, and tower's balancer too.
    assert not [name for name in names if "threads" in name and ("Node" in name or "tower" in name)]
    assert not [name for name in names if "asyncio" in name]


@pytest.mark.parametrize(
    ("cores", "threads"), [(None, [2]), (1, [2]), (2, [2]), (4, [2, 4]), (6, [2, 4]), (16, [2, 4, 8, 16])]
)
def test_threads_are_at_least_two_and_no_more_than_cores(
    cores: int | None, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert picks.many_threads() == threads
