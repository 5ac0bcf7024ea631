"""The engine itself: that it would see what is wrong, and that the requests are what the README says."""

from __future__ import annotations

import json
import re
import urllib.parse

import pytest
from driver import Broken, Wrong, flat
from judge import difference
from languages import CONFORMANCE, ROOT
from registries import NAMES, UNDER_RIGHTS
from scenario import registered, scenarios, skipped, steps
from verbs import request
from world import World, in_order, snake


@pytest.mark.parametrize(
    ("expected", "seen", "same"),
    [
        ({"a": None}, {}, True),
        ({"a": 1}, {"a": 1.0, "b": 2}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": {"least": 2}}, {"a": 2}, True),
        ({"a": {"least": 2}}, {"a": None}, False),
        ({"a": {"most": 2}}, {"a": 3}, False),
        ({"a": {"has": "x", "lacks": "y"}}, {"a": "wxz"}, True),
        ({"a": {"lacks": "x"}}, {"a": None}, False),
        ({"a": {"has": [1, 3]}}, {"a": [1, 2, 3]}, True),
        ({"a": {"has": [3, 1]}}, {"a": [1, 2, 3]}, False),
        ({"a": {"lacks": [3]}}, {"a": [1, 2, 3]}, False),
    ],
)
def test_what_is_compares(expected, seen, same):
    assert (difference("is", expected, seen) is None) is same


def call(began, ended, revision):
    return {"began": began, "ended": ended, "snapshot": {"revision": revision}}


def test_promises_about_callbacks_are_looked_at_unasked():
    well = [call(1, 2, 1), call(2, 3, 2), call(5, None, 4)]
    assert in_order({"calls": well, "closed": 6}) == well
    for broken, closed in [
        ([call(1, 3, 1), call(2, 4, 2)], None),
        ([call(1, None, 1), call(2, 4, 2)], None),
        ([call(1, 2, 2), call(3, 4, 2)], None),
        ([call(1, 2, 1), call(4, 5, 2)], 3),
    ]:
        with pytest.raises(Wrong):
            in_order({"calls": broken, "closed": closed})


class Scripted:
    """A driver that gives these answers, whatever it is asked."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def ask(self, _request, _limit):
        return self.answers.pop(0)


def seen(revision, *ids):
    return {"ok": {"revision": revision, "instances": [{"id": name} for name in ids]}}


def world(*answers):
    return World(Scripted(*answers), Scripted)


def test_a_question_is_asked_until_it_is_answered_as_expected():
    asking = world(seen(1), {"timeout": True}, seen(2, "a"))
    asking.step({"do": "see", "is": {"ids": ["a"], "size": 1}, "within": 5})
    assert asking.main.driver.answers == []
    for once in [{"do": "next"}, {"do": "see"}]:
        with pytest.raises(Wrong, match=r"expected is\.ids"):
            world(seen(1), seen(2, "a")).step({**once, "is": {"ids": ["a"]}})


def test_a_revision_that_does_not_grow_is_not_asked_away():
    with pytest.raises(Broken, match="revision 2 came after 2"):
        world(seen(2), seen(2, "a"), seen(3, "a")).step({"do": "see", "is": {"ids": ["a"]}, "within": 5})


def test_errors_have_the_expected_code_a_message_and_the_right_retryable():
    error = {"code": "timeout", "message": "late", "retryable": True}
    world({"error": error}).step({"do": "drain", "error": "timeout", "is": {"message": {"has": "late"}}})
    for wrong in [{"code": "closed"}, {"message": ""}, {"retryable": False}]:
        with pytest.raises(Wrong):
            world({"error": error | wrong}).step({"do": "drain", "error": "timeout"})
    for answer, step in [({"ok": {}}, {"error": "timeout"}), ({"error": error}, {})]:
        with pytest.raises(Wrong):
            world(answer).step({"do": "drain", **step})


def unflat(line):
    """A flat request read as its README says, by somebody who has not seen how it was made."""
    found = {}
    for pair in line.split("\t"):
        key, text = pair.split("=", 1)
        value = json.loads(text) if key.endswith(":") else urllib.parse.unquote(text)
        *path, last = [urllib.parse.unquote(part) for part in key.removesuffix(":").split(".")]
        at = found
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return found


def numbered(value):
    """Lists as objects by position, which is all that a flat request says of them."""
    if isinstance(value, list) and value:
        return {str(at): numbered(its) for at, its in enumerate(value)}
    return {key: numbered(its) for key, its in value.items()} if isinstance(value, dict) else value


def test_the_flat_form_of_the_readme():
    readme = (CONFORMANCE / "README.md").read_text(encoding="utf-8")
    as_json, as_pairs = re.search(r"^(\{\"do\": \"register\".*)\n(do=register.*)$", readme, re.M).groups()
    assert flat(json.loads(as_json)) == as_pairs.replace("\\t", "\t")


def test_every_request_survives_the_flat_form():
    for _, scenario in scenarios():
        for step in steps(scenario, "memory:x", 1, "/folder"):
            asked = request(step, "memory:x")
            line = flat(asked)
            assert "\n" not in line and "\0" not in line
            assert unflat(line) == numbered(asked)


def test_clients_of_the_registry_log_in_unless_the_step_says_how():
    def options(step):
        filled = steps({"steps": [{"do": "connect", **step}]}, "etcd://h/1", 1, "/folder", {"token": "t"})
        return filled[0].get("options")

    for ours in [{}, {"url": None}, {"url": "{url}?ttl=5s"}]:
        assert options(ours) == {"token": "t"}
    assert options({"options": {"token": "other", "ttl": 3}}) == {"token": "other", "ttl": 3}
    assert options({"url": "local:"}) is None


def test_the_services_that_a_scenario_registers():
    asked = [("b", {}), ("a{3}", {}), ("b", {}), ("c/d", {"error": "invalid_argument"})]
    registers = [{"do": "register", "with": {"service": service}, **more} for service, more in asked]
    looks = [{"do": "lookup", "service": "e"}, {"do": "fault", "kind": "put", "service": "f", "id": "1"}]
    assert registered({"steps": registers + looks}) == ["axxx", "b"]


def test_rights_are_no_reason_to_skip():
    for registry in UNDER_RIGHTS:
        free = registry.split("-")[0]
        for _, scenario in scenarios():
            assert skipped("python", registry, scenario) == skipped("python", free, scenario)


def test_a_step_with_a_mistake_is_refused():
    for step in [{"do": "dance"}, {"do": "ping", "service": "a"}, {"do": "register", "with": {"prot": 1}}]:
        with pytest.raises(Wrong):
            request(step, "memory:x")


def test_names_of_camel_case_are_read_as_scenarios_spell_them():
    assert snake("did you mean emptyHold? (CALLSHEET_TTL, 10.0.0.1:80)") == (
        "did you mean empty_hold? (CALLSHEET_TTL, 10.0.0.1:80)"
    )
    assert [snake(name).lower() for name in ("publishFailures", "PublishFailures")] == [
        "publish_failures"
    ] * 2


def test_names_are_unique_and_skips_match_something():
    every = [(area, scenario["name"]) for area, scenario in scenarios()]
    assert len(set(every)) == len(every)
    reasons = {
        skipped(language, registry, scenario)
        for language in ("python", "c", "go")
        for registry in NAMES
        for _, scenario in scenarios()
    }
    for skip in json.loads((CONFORMANCE / "skips.json").read_text(encoding="utf-8")):
        assert skip["reason"] in reasons or "languages" in skip, skip


def test_scenarios_need_the_faults_that_they_make():
    for area, scenario in scenarios():
        made = {step["kind"] for step in scenario["steps"] if step["do"] == "fault"}
        assert made <= set(scenario.get("needs", ())), (area, scenario["name"])


def test_every_code_is_reached_or_accounted_for():
    codes = set(re.findall(r'=> "([a-z_]+)",', (ROOT / "core/src/error.rs").read_text(encoding="utf-8")))
    assert len(codes) == 14
    told = [step for _, scenario in scenarios() for step in scenario["steps"]]
    reached = {step.get("error") for step in told} | {step.get("is", {}).get("last_error") for step in told}
    readme = (
        (CONFORMANCE / "README.md").read_text(encoding="utf-8").split("### Error codes")[1].split("## ")[0]
    )
    accounted = set(re.findall(r"^\| `([a-z_]+)` \|", readme, re.M))
    assert codes - reached == accounted
