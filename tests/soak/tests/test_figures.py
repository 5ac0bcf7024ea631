"""The table has a column for each registry, and says what a run says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soak.figures import Figures, table

if TYPE_CHECKING:
    from pathlib import Path

ETCD = Figures(
    "etcd",
    faults={"cut": 2, "crash": 1},
    snapshots=40,
    stale=3,
    healed=[0.5, 2.0, 1.0],
    calls={"go": (100, 1, 7)},
    held={"go": "1.0 -> 2.0, 9 -> 9"},
)


def test_figures_are_read_as_they_were_saved(tmp_path: Path) -> None:
    ETCD.save(tmp_path / "figures")
    assert table([Figures.load(tmp_path / "figures")]) == table([ETCD])


def test_each_registry_is_a_column() -> None:
    assert table([ETCD, Figures("consul")]).splitlines()[0].split() == ["etcd", "consul"]
    lines = table([ETCD, Figures("consul", faults={"wipe": 4})]).splitlines()
    rows = {line[:20].strip(): line[20:].split("  ") for line in lines}
    cells = {name: [cell.strip() for cell in row if cell.strip()] for name, row in rows.items()}
    assert cells["faults"] == ["3", "4"]
    assert cells["wipe"] == ["0", "4"]
    assert cells["stale after heal"] == ["3", "0"]
    assert cells["in, median"] == ["1.00 s", "-"]
    assert cells["in, at most"] == ["2.00 s", "-"]
    assert {"100 / 1 / 7", "1.0 -> 2.0, 9 -> 9"} <= {line[20:].strip() for line in table([ETCD]).splitlines()}
