"""Each invariant is one that a run can break."""

from __future__ import annotations

import json

import pytest
from servers import Entry, Lease

from soak.consul_invariants import of_agents, of_catalog
from soak.etcd_invariants import of_leases, of_store
from soak.invariants import of_watchers
from soak.ledger import Ledger
from soak.parts import SLOTS, WATCHERS
from soak.track import Track
from soak.usage import Usage

FIRST, CLOSED = SLOTS[0], SLOTS[1]
VALUE = json.dumps(
    {"address": "10.1.0.1", "port": 8000, "metadata": {"n": "2"}, "status": "passing"}
).encode()
GOOD = {FIRST.key: Entry(VALUE, 77, 5)}


@pytest.fixture
def ledger() -> Ledger:
    """One registration is open and was updated once, another was closed."""
    ledger = Ledger()
    for kind, slot in (("open", FIRST), ("update", FIRST), ("open", CLOSED), ("close", CLOSED)):
        ledger.act(kind, slot.name)
    return ledger


def test_the_store_has_what_is_open_once_and_as_it_was_last(ledger: Ledger) -> None:
    assert of_store(GOOD, ledger) == []
    old = Entry(VALUE.replace(b'"2"', b'"1"'), 77, 5)
    assert "'r0 1 passing'" in of_store({FIRST.key: old}, ledger)[0]
    assert "not there" in of_store({}, ledger)[0]
    assert of_store({**GOOD, CLOSED.key: Entry(VALUE, 77, 6)}, ledger) == [
        f"{CLOSED.key} should not be in the store"
    ]
    elsewhere = FIRST.key.replace("/a/", "/ab/")
    assert "r0 is in the store 2 times" in of_store({**GOOD, elsewhere: Entry(VALUE, 77, 6)}, ledger)


def test_leases_are_those_of_live_registrations(ledger: Ledger) -> None:
    assert of_leases({77: Lease(2, 2, (FIRST.key,))}, GOOD, ledger) == []
    assert len(of_leases({77: Lease(2, 2, (FIRST.key,)), 78: Lease(2, 2, ())}, GOOD, ledger)) == 1
    assert len(of_leases({78: Lease(2, 2, (CLOSED.key,))}, GOOD, ledger)) == 1
    assert of_leases({}, {FIRST.key: Entry(VALUE, 0, 5)}, ledger) == [f"{FIRST.key} has no lease"]


def test_watchers_are_live_and_show_what_is_there() -> None:
    watcher = next(watcher for watcher in WATCHERS if watcher.service == FIRST.service)
    track = Track(watcher.name)
    read = [(FIRST.service, "r0 2 passing")]
    assert len(of_watchers([(watcher, track)], read)) == 2
    track.saw(1, "live", ["r0 2 passing"])
    assert of_watchers([(watcher, track)], read) == []
    assert "has ['r0 2 passing']" in of_watchers([(watcher, track)], [])[0]
    track.saw(2, "stale", ["r0 2 passing"])
    assert of_watchers([(watcher, track)], read) == [f"{watcher.name} is stale"]


def test_growth_is_told() -> None:
    first = Usage(20, 12, 5)
    assert Usage(24, 13, 6).growth(first) is None
    assert "memory" in (Usage(80, 12, 5).growth(first) or "")
    assert "descriptors" in (Usage(20, 14, 5).growth(first) or "")
    assert "threads" in (Usage(20, 12, 40).growth(first) or "")


def test_the_catalog_has_what_is_open_once_and_as_it_was_last(ledger: Ledger) -> None:
    good = (FIRST.service, "r0 2 passing")
    assert of_catalog([good], ledger) == []
    assert len(of_catalog([(FIRST.service, "r0 1 passing")], ledger)) == 2
    assert "2 times" in of_catalog([good, good], ledger)[0]
    assert "should not" in of_catalog([good, (CLOSED.service, "r1 1 critical")], ledger)[0]


def test_agents_have_what_is_theirs_with_its_check(ledger: Ledger) -> None:
    homes = {slot.name: "x" for slot in SLOTS}
    check = {"ServiceID": FIRST.id, "Status": "passing"}
    services: dict[str, dict[str, dict[str, str]]] = {"x": {FIRST.id: {}}, "y": {}}
    checks = {"x": {"callsheet:r0": check}, "y": {}}
    assert of_agents(homes, services, checks, ledger) == []
    assert len(of_agents(homes, {"x": {}, "y": {FIRST.id: {}}}, checks, ledger)) == 2
    assert len(of_agents(homes, services, {**checks, "y": {"callsheet:r0": check}}, ledger)) == 1
    critical = {"callsheet:r0": {**check, "Status": "critical"}}
    assert "no check that passes" in of_agents(homes, services, {"x": critical, "y": {}}, ledger)[0]
