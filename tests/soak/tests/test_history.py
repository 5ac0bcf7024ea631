"""What a watcher saw is only right if the store was so, at that time."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from soak import garbage
from soak.etcd_history import EtcdHistory, EtcdLine
from soak.shown import shown
from soak.track import Track

ONE, TWO, SICK = "r1 1 passing", "r2 1 passing", "r1 2 warning"


def line_of(*states: set[str], healthy: bool = False) -> EtcdLine:
    line = EtcdLine(healthy)
    for state in states:
        line.add(frozenset(state))
    return line


def judged(line: EtcdLine, *seen: list[str]) -> Track:
    track = Track("w")
    for revision, instances in enumerate(seen):
        track.saw(revision, "live", instances)
    track.judge(line)
    return track


def test_states_may_be_skipped() -> None:
    line = line_of({ONE}, {ONE, TWO}, {TWO})
    assert judged(line, [ONE], [TWO]).unexplained is None
    assert judged(line, [], [TWO, ONE], [TWO]).unexplained is None


def test_what_never_was_is_told() -> None:
    assert "r2" in (judged(line_of({ONE}), [ONE], [ONE, TWO]).unexplained or "")


def test_an_empty_list_is_wrong_while_instances_are_there() -> None:
    assert judged(line_of({ONE}, {ONE, TWO}), [ONE], []).unexplained is not None
    assert judged(line_of({ONE}, set()), [ONE], []).unexplained is None


def test_going_back_is_told() -> None:
    line = line_of({ONE}, {TWO})
    assert judged(line, [TWO], [ONE]).unexplained is not None


def test_half_a_transaction_is_told() -> None:
    line = line_of({ONE}, {TWO, "r3 1 passing"})
    assert judged(line, [ONE], [TWO]).unexplained is not None


def test_a_new_process_sees_nothing_older_than_itself() -> None:
    line = line_of({ONE}, {TWO})
    track = Track("w")
    track.anew(line)
    track.saw(1, "live", [ONE])
    track.judge(line)
    assert track.unexplained is not None


def test_the_history_may_know_later_than_the_watcher() -> None:
    line = line_of({ONE})
    track = judged(line, [ONE], [TWO])
    assert track.unexplained is not None
    line.add(frozenset({TWO}))
    track.judge(line)
    assert track.unexplained is None


def test_revisions_grow_and_instances_are_there_once() -> None:
    track = Track("w")
    track.saw(5, "live", [ONE, ONE])
    track.saw(4, "disk", [ONE])
    assert len(track.problems) == 3


def test_those_who_see_healthy_ones_see_no_others() -> None:
    line = line_of({ONE}, {SICK}, {SICK, TWO}, healthy=True)
    assert judged(line, [ONE], [], [TWO]).unexplained is None


def event(key: str, value: bytes | None) -> dict[str, Any]:
    kv = {"key": b64encode(key.encode()).decode()}
    if value is None:
        return {"type": "DELETE", "kv": kv}
    return {"kv": {**kv, "value": b64encode(value).decode()}}


def test_the_history_reads_transactions_whole() -> None:
    history = EtcdHistory([])
    line = history.line("a", healthy=False)
    history.take([event(key, value) for key, value in garbage.guests("a").items()], 5)
    assert [len(state) for state in line.states] == [0, 10]
    history.take([event("/services/a/guest-0", b"null"), event("/services/a/guest-1", None)], 6)
    history.take([event("/services/ab/guest-0", garbage.guest("g0"))], 7)
    assert ([len(state) for state in line.states], history.revision) == ([0, 10, 8], 7)


def test_garbage_is_none_to_anyone() -> None:
    assert all(shown("/services/a/x", value) is None for value in garbage.VALUES)
    written = garbage.litter("a", 0.5)
    assert len(written) == 5 and all(shown(key, value) is None for key, value in written.items())
    assert shown("/services/a/x", garbage.guest("1")) == ("a", "x 1 passing")
