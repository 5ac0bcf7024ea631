"""The page and its picture show all that was measured, and say plainly where a peer is ahead."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import page
import pairs
import picks
import picture
import pytest
from changes import Figures
from changes import rows as changes
from rows import Row, ratio, reached, row

EMPTY = f"# Title\n\n{page.BEGIN}old figures\n{page.END}\n\nmore prose\n"
PEER = pairs.ETCD_GO.called


def beside(name: str, ours: float, theirs: float, floor: str = PEER, goal: str = "-") -> Row:
    return row(name, "ms", [ours] * 3, floor, [theirs] * 3, goal)


def every_row(ours: float = 0.25) -> list[Row]:
    """All that the picture needs, and more; ours beside ones."""
    found: list[Row] = []
    for contest in (pairs.ETCD, pairs.CONSUL):
        names = [*(pair.language for pair in contest.pairs), *(peer.name for peer in contest.peers)]
        of = {name: Figures([1.0], [1.0], [1.0], [1.0]) for name in names}
        of |= {pair.language: Figures([ours], [ours], [ours], [1.0]) for pair in contest.pairs}
        found += changes(contest, of)
        for pair in contest.pairs:
            many = "10,000" if contest is pairs.ETCD else "1,000"
            first = f"{pair.language} connect to first list of {many} instances, {contest.registry}:"
            found.append(beside(first, ours, 1.0, pair.peer.called))
    found += [
        beside(f"{pair.language} memory of 10,000 instances, etcd:", ours, 1.0, pair.peer.called)
        for pair in pairs.ETCD.pairs
    ]
    picked = {
        picks.named(peer.name, "pick", policy): [1.0] for policy, all in picks.PEERS.items() for peer in all
    }
    picked |= {picks.named(name, "pick", policy): [ours] for policy in picks.PEERS for name in picks.SORTS}
    for policy in picks.PEERS:
        for name in picks.SORTS:
            found += picks.beside_peers(name, policy, picked)
    return found


def test_only_what_is_between_the_marks_is_written_anew() -> None:
    written = page.written_into(EMPTY, [beside("Go memory of things", 1, 2)], "a machine")
    assert written.startswith(f"# Title\n\n{page.BEGIN}\nMeasured on a machine.")
    assert written.endswith(f"{page.END}\n\nmore prose\n")
    assert "old figures" not in written
    assert page.written_into(written, [beside("Go memory of things", 1, 2)], "a machine") == written


def test_the_page_and_its_picture_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "DOCS", tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "benchmarks.md").write_text(EMPTY)
    page.write(every_row(), "a machine")
    assert "Measured on a machine." in (tmp_path / "benchmarks.md").read_text()
    assert (tmp_path / "images" / "benchmarks.svg").read_text() == picture.drawn(every_row())


@pytest.mark.parametrize("missing", [page.BEGIN, page.END])
def test_a_page_without_marks_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        page.written_into(EMPTY.replace(missing, ""), [], "a machine")


def test_a_row_where_a_peer_is_ahead_is_left_in_and_marked() -> None:
    rows = [beside("Go memory of things, etcd:", 3, 2), beside("C memory of things", 1, 2)]
    written = page.written_into(EMPTY, rows, "a machine")
    assert "A peer is ahead in 1 of 2 rows" in written
    assert f"- Go memory of things, etcd: 1.50 times {PEER}" in written
    assert (
        f"| Go memory of things, etcd: | 3 ms | {PEER} | 2 ms | **1.50: the peer is ahead** | - |" in written
    )
    assert f"| C memory of things | 1 ms | {PEER} | 2 ms | 0.50 | - |" in written


def test_a_floor_is_no_peer() -> None:
    written = page.written_into(EMPTY, [beside("Go memory of things", 3, 2, "nothing")], "a machine")
    assert "A peer is ahead in 0 of 0 rows" in written
    assert "| 1.50 |" in written


def test_a_goal_that_was_missed_is_told() -> None:
    rows = [beside("C import", 3, 2, goal="1 ms"), beside("Go import", 1, 2, goal="0.5 x")]
    written = page.written_into(EMPTY, rows, "a machine")
    assert "1 of 2 goals that are numbers are missed" in written
    assert "- C import: 3 ms; the goal is 1 ms" in written
    assert "| 1 ms, missed |" in written
    assert "| 0.5 x |" in written


@pytest.mark.parametrize(
    ("goal", "unit", "met"),
    [
        ("1 ms", "ms", False),
        ("2 ms", "ms", True),
        ("0.9 x", "ms", False),
        ("1 x", "ms", True),
        ("2 %", "% of a core", True),
        ("1", "new", False),
        ("1 x, all alike", "ms", None),
        ("1.995 ms", "ms", True),
        ("2 s", "ms", None),
        ("scales", "ms", None),
        ("-", "ms", None),
    ],
)
def test_goals_that_are_numbers_are_judged(goal: str, unit: str, met: bool | None) -> None:
    assert reached(row("it", unit, [1, 2, 3], PEER, [2, 2, 2], goal)) is met


def test_what_took_nothing_has_no_ratio() -> None:
    assert ratio(beside("it", -0.1, 1)) is None
    assert ratio(row("it", "", "a text")) is None
    assert ratio(beside("it", 1, 2)) == 0.5


def test_every_row_is_in_one_table() -> None:
    rows = [*every_row(), row("Rust 300 watched services, etcd:", "", "threads 4 -> 4"), beside("new", 1, 2)]
    lines = [line.split(" | ")[0][2:] for line in page.tables(rows) if line.startswith("| ")]
    assert sorted(name for name in lines if name != "what") == sorted(row["name"] for row in rows)


def test_rows_are_where_a_reader_looks() -> None:
    names = {
        "etcd: 50 watched services, ten minutes without the server": "A registry that is away",
        "Go start to first answer, etcd refuses connections": "A registry that is away",
        "etcd: 300 watched services, CPU of 1,000 changes, Rust": "Many services",
        "consul: CPU of 1,000 changes, Go": "Consul: a change",
        "peer's pick: it": "Picking",
        "Python with pick(), p2c": "Picking",
        "local: change in another process to Go callback, p50": "Everything else",
    }
    for name, title in names.items():
        headed = next(line for line in page.tables([row(name, "ms", [1, 1, 1])]))
        assert headed.startswith(f"### {title}"), name


@pytest.mark.parametrize("ours", [0.01, 0.25, 0.95, 1.0, 40.0])
def test_the_picture_is_well_formed_and_every_bar_stays_in_its_panel(ours: float) -> None:
    svg = ElementTree.fromstring(picture.drawn(every_row(ours)))
    space = {"svg": "http://www.w3.org/2000/svg"}
    panels = svg.findall("svg:g", space)
    assert len(panels) == len(picture.PANELS)
    for panel in panels:
        bars = panel.findall("svg:rect", space)
        assert len(bars) in (len(picks.SORTS), len(pairs.ETCD.pairs))
        assert {bar.get("class") for bar in bars} == {"behind" if ours > 1 else "strong"}
        for bar in bars:
            assert 1 <= int(bar.get("width", 0)) <= picture.LONGEST


def test_the_picture_says_what_took_too_little() -> None:
    rows = every_row(-0.1)
    assert "too little to compare with Go client" in picture.drawn(rows)


def test_a_bar_that_nobody_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody measured"):
        picture.drawn([])


def test_the_page_of_the_repository_has_its_place_and_is_written_with_the_picture() -> None:
    text = (page.DOCS / "benchmarks.md").read_text(encoding="utf-8")
    assert text.count(page.BEGIN) == text.count(page.END) == 1
    assert re.search(r"!\[.+\]\(images/benchmarks\.svg\)", page.written_into(text, [], "a machine"))
