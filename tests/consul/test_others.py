"""What other tools registered, as callsheet shows it."""

from __future__ import annotations

import callsheet
import pytest
from servers import Consul
from servers.local import Status
from servers.waiting import until
from shared.seen import Seen


def statuses(snapshot: callsheet.Snapshot) -> dict[str, str]:
    return {one.id: one.status for one in snapshot}


def test_everything_that_there_is_a_field_for(either: Consul) -> None:
    either.agent.local.register(
        "web",
        80,
        id="web1",
        address="10.0.0.7",
        tags=["a", "ü"],
        meta={"team": "x", "callsheet-zone": "eu"},
        weight=7,
    )
    either.agent.local.register("web", 81)
    either.catalog.register("elsewhere", "web", 82, id="web3", node_address="10.9.9.9")
    with callsheet.connect(either.url) as client, Seen(client, "web") as seen:
        snapshot = seen.until(lambda snapshot: len(snapshot) == 3)
        full, bare, node = sorted(snapshot, key=lambda one: one.port)
        assert (full.id, full.address, full.port, full.weight) == ("web1", "10.0.0.7", 80, 7)
        assert (full.tags, dict(full.metadata), full.zone) == (("a", "ü"), {"team": "x"}, "eu")
        assert (full.scheme, full.status) == ("http", "passing")
        assert (bare.id, bare.address, bare.port) == ("web", "127.0.0.1", 81)
        assert (bare.weight, list(bare.tags), dict(bare.metadata)) == (1, [], {})
        # Where a service has no address, it is at its node's.
        assert (node.id, node.address, node.port) == ("web3", "10.9.9.9", 82)


def test_the_worst_check_counts(either: Consul) -> None:
    local = either.agent.local
    with callsheet.connect(either.url) as client:
        local.register("web", 80, check={"TTL": "600s", "Status": "passing"})
        more = {"Name": "more", "ID": "more", "ServiceID": "web", "TTL": "600s", "Status": "passing"}
        local.api.call("PUT", "agent/check/register", more)

        def step(check: str, said: Status, shown: str) -> None:
            local.set_check(check, said)
            until(lambda: either.catalog.instances("web")[0].checks[check] == said)
            until(lambda: statuses(client.lookup("web", healthy=False)) == {"web": shown})
            assert len(client.lookup("web")) == (shown == "passing")

        step("more", "warning", "warning")
        step("service:web", "critical", "critical")
        step("more", "passing", "critical")
        step("service:web", "warning", "warning")
        step("service:web", "passing", "passing")


@pytest.mark.parametrize("whole_node", [False, True], ids=["service", "node"])
def test_maintenance_is_draining(whole_node: bool, either: Consul) -> None:
    local = either.agent.local
    local.register("web", 80)
    local.register("web", 81, id="critical", check={"TTL": "600s", "Status": "critical"})
    with callsheet.connect(either.url) as client, Seen(client, "web") as seen:
        seen.until(lambda snapshot: statuses(snapshot) == {"web": "passing", "critical": "critical"})
        ids = [None] if whole_node else ["web", "critical"]
        for id in ids:
            local.maintenance(id, reason="new kernel")
        seen.until(lambda snapshot: set(statuses(snapshot).values()) == {"draining"})
        assert len(client.lookup("web")) == 0
        for id in ids:
            local.maintenance(id, on=False)
        seen.until(lambda snapshot: statuses(snapshot) == {"web": "passing", "critical": "critical"})


def test_what_can_not_be_called_is_skipped_and_counted(
    either: Consul, warnings: pytest.LogCaptureFixture
) -> None:
    local = either.agent.local
    local.register("web", 0, id="no port")
    local.register("web", 80, id="good")
    with callsheet.connect(either.url) as client, Seen(client, "web") as seen:
        seen.until(lambda snapshot: list(statuses(snapshot)) == ["good"])
        assert client.stats()["undecodable"] >= 1
        # Followed, it is looked at no more: only what differs is.
        local.register("web", 81, id="also good")
        seen.until(lambda snapshot: list(statuses(snapshot)) == ["also good", "good"])
        counted = client.stats()["undecodable"]
        local.register("web", 83, id="good")
        seen.until(lambda snapshot: [one.port for one in snapshot] == [81, 83])
        assert client.stats()["undecodable"] == counted
        # It becomes one that can be.
        local.register("web", 82, id="no port")
        seen.until(lambda snapshot: len(snapshot) == 3)
    [told] = [record.getMessage() for record in warnings.records if "skipped" in record.getMessage()]
    assert "no port" in told and either.agent.name in told


def test_services_that_cannot_be_looked_up_are_not_named(consul: Consul) -> None:
    local = consul.agent.local
    for name in ("web", "a b", "ü"):
        local.register(name, 80)
    with callsheet.connect(consul.url) as client:
        names = next(names for names in client.watch_services() if "web" in names)
        assert names == ["consul", "web"]
