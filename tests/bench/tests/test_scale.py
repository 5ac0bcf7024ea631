"""The part of scale at sizes that take seconds: that every figure comes, and where it is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent))
sys.path.append(str(Path(__file__).parent.parent.parent))

import scale

RUST = [str(Path(__file__).parent.parent.parent.parent / "target" / "debug" / "callsheet-bench")]
SIZES = {"instances": 10, "services": 2, "registrations": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="what a process spends is read from Linux")
@pytest.mark.parametrize("registry", scale.REGISTRIES)
def test_every_kind_has_all_its_figures_at_both_sizes(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "CHANGING", 1.0)
    monkeypatch.setattr(scale, "IDLE", 0.1)
    found = list(scale.growths(RUST, (registry,), SIZES))
    # A server's CPU, and for Consul what the agent takes alone.
    beside = 0 if registry == "local" else 1
    alone = 1 if registry == "consul" else 0
    assert [sum(growth.kind == kind for growth in found) for kind in SIZES] == [
        5 + beside,
        5 + beside,
        4 + beside + alone,
    ]
    assert {growth.size for growth in found} == set(SIZES.values())
    for growth in found:
        assert 0 <= growth.small < 60_000, growth
        assert 0 <= growth.large < 60_000, growth


def test_the_page_says_by_how_much_what_grew() -> None:
    growth = scale.Growth("etcd", "instances", 1_000, scale.LIVE, 20.0, 300.0)
    line = scale.page([growth]).splitlines()[-1]
    assert (
        line == "| etcd | 1,000 and 10,000 instances | until all are there | 20 ms | 300 ms | 15.0 x | 10 x |"
    )
