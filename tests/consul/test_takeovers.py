"""Ids that somebody else had, whose checks say nothing of who has them now."""

from __future__ import annotations

import callsheet
import pytest
from servers import Consul
from servers.waiting import until

OURS = "callsheet:primary"


def well(consul: Consul) -> bool:
    (found,) = consul.catalog.instances("billing")
    return found.checks == {OURS: "passing", "serfHealth": "passing"} and found.address == "10.0.0.1"


def test_the_checks_of_another_tool_go_with_its_instance(either: Consul) -> None:
    local = either.agent.local
    checks = {"TTL": "1s"}
    local.register("billing", 80, id="primary", address="10.0.0.9", check=checks)
    until(lambda: local.checks()["service:primary"]["Status"] == "critical")
    with callsheet.connect(either.url) as client:
        client.register("billing", 80, "10.0.0.1", id="primary").wait("registered", 5)
        assert [check for check in local.checks() if "primary" in check] == [OURS]
        until(lambda: well(either))


CHECKS: dict[str, callsheet.Check] = {
    "tcp": callsheet.tcp(address="127.0.0.1", port=1, interval=1),
    "ttl": callsheet.ttl(),
}


@pytest.mark.parametrize("before", CHECKS)
@pytest.mark.parametrize("after", CHECKS)
def test_another_kind_of_check_replaces_the_one_of_before(before: str, after: str, consul: Consul) -> None:
    local = consul.agent.local
    with callsheet.connect(consul.url, ttl=2) as one, callsheet.connect(consul.url) as other:
        first = one.register("billing", 80, "127.0.0.1", id="primary", check=CHECKS[before])
        first.set_status("warning", "by hand")
        first.wait("registered", 5)
        second = other.register("billing", 80, "10.0.0.1", id="primary", check=CHECKS[after])
        second.wait("registered", 5)
        mine = [check for check in local.checks().values() if check["ServiceID"] == "primary"]
        assert [(check["CheckID"], check["Type"]) for check in mine] == [(OURS, after)]
        # What the other one renews no more would be critical by now.
        first.wait("superseded", 10)
        assert [check for check in local.checks() if "primary" in check] == [OURS]


def test_what_an_operator_ordered_stays(either: Consul) -> None:
    local = either.agent.local
    local.register("billing", 80, id="primary", address="10.0.0.9", check={"TTL": "60s", "Status": "passing"})
    local.maintenance("primary", reason="the disk is full")
    with callsheet.connect(either.url) as client:
        client.register("billing", 80, "10.0.0.1", id="primary").wait("registered", 5)
        until(lambda: [it.status for it in either.catalog.instances("billing")] == ["maintenance"])
        until(lambda: [it.status for it in client.lookup("billing", healthy=False)] == ["draining"])
        local.maintenance("primary", on=False)
        until(lambda: well(either))
