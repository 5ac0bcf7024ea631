"""What a Consul holds is read and changed by hand; both versions."""

from __future__ import annotations

from typing import Literal

import pytest
from servers import Consul
from servers.fixtures import NewConsul
from servers.waiting import until


@pytest.fixture(params=["consul", "old_consul"])
def any_consul(request: pytest.FixtureRequest) -> Consul:
    consul = request.getfixturevalue(request.param)
    assert isinstance(consul, Consul)
    return consul


def test_a_service_as_another_tool_registers_it(any_consul: Consul) -> None:
    local, catalog = any_consul.agent.local, any_consul.catalog
    local.register(
        "a",
        80,
        id="a1",
        address="10.0.0.1",
        tags=["x", "y"],
        meta={"k": "v"},
        weight=5,
        check={"TTL": "60s", "Status": "passing"},
    )
    local.register("a", 81, id="a2")
    until(lambda: catalog.ids("a", passing=True) == ["a1", "a2"])
    [first, second] = catalog.instances("a")
    assert (first.id, first.node, first.address, first.port) == ("a1", "server0", "10.0.0.1", 80)
    assert (first.tags, first.meta, first.weight, first.status) == (("x", "y"), {"k": "v"}, 5, "passing")
    assert (second.address, second.port, second.weight) == ("127.0.0.1", 81, 1)
    assert catalog.services() == {"consul": [], "a": ["x", "y"]}
    assert (local.services()["a1"]["Port"], sorted(local.services())) == (80, ["a1", "a2"])
    local.deregister("a1")
    until(lambda: catalog.ids("a") == ["a2"])


def test_checks_and_maintenance(any_consul: Consul) -> None:
    local, catalog = any_consul.agent.local, any_consul.catalog
    local.register("a", 80, check={"TTL": "60s"})

    def is_now(status: str) -> None:
        until(lambda: [found.status for found in catalog.instances("a")] == [status])
        assert (catalog.ids("a", passing=True) == ["a"]) == (status == "passing")

    is_now("critical")
    statuses: tuple[Literal["passing", "warning", "critical"], ...] = ("passing", "warning", "critical")
    for status in statuses:
        local.set_check("service:a", status, f"it is {status}")
        is_now(status)
        assert local.checks()["service:a"]["Output"] == f"it is {status}"
    local.set_check("service:a", "passing")
    for id in ("a", None):
        local.maintenance(id, reason="painting")
        is_now("maintenance")
        local.maintenance(id, on=False)
        is_now("passing")
    local.deregister_check("service:a")
    until(lambda: catalog.instances("a")[0].checks == {"serfHealth": "passing"})


def test_nodes_without_an_agent(any_consul: Consul) -> None:
    catalog = any_consul.catalog
    catalog.register(
        "n", "a", 80, id="a1", node_address="10.0.0.9", tags=["x"], meta={"k": "v"}, status="warning"
    )
    catalog.register("n", "a", 81, id="a2", address="10.0.0.10")
    [first, second] = catalog.instances("a")
    assert (first.node, first.address, first.status, first.tags) == ("n", "10.0.0.9", "warning", ("x",))
    assert (second.address, second.status) == ("10.0.0.10", "passing")
    assert catalog.nodes() == {"server0": "127.0.0.1", "n": "10.0.0.9"}
    assert catalog.checks_of_node("n") == {"service:a1": "warning", "service:a2": "passing"}
    catalog.deregister("n", "a1")
    assert catalog.ids("a") == ["a2"]
    catalog.deregister("n")
    assert (catalog.ids("a"), list(catalog.nodes())) == ([], ["server0"])


def test_a_service_behind_the_back_of_a_node_with_an_agent(any_consul: Consul) -> None:
    catalog = any_consul.catalog
    catalog.register("server0", "a", 80)
    assert catalog.ids("a") == ["a"]
    assert any_consul.agent.local.services() == {}
    assert catalog.nodes() == {"server0": "127.0.0.1"}
    any_consul.empty()
    assert catalog.ids("a") == []


def test_emptying_leaves_nothing_registered(any_consul: Consul) -> None:
    local, catalog = any_consul.agent.local, any_consul.catalog
    local.register("a", 80, check={"TTL": "60s"})
    local.maintenance(reason="painting")
    catalog.register("n", "b", 80)
    any_consul.empty()
    assert (local.services(), local.checks()) == ({}, {})
    assert (catalog.services(), list(catalog.nodes())) == ({"consul": []}, ["server0"])
    until(lambda: catalog.checks_of_node("server0") == {"serfHealth": "passing"})


def test_requests_and_indexes_are_counted(any_consul: Consul) -> None:
    local, catalog = any_consul.agent.local, any_consul.catalog
    local.register("a", 80, check={"TTL": "60s"})
    until(lambda: catalog.ids("a") == ["a"])
    index, before = catalog.index("a"), local.calls("PUT", "agent/check/update/_")
    local.set_check("service:a", "passing")
    until(lambda: catalog.index("a") > index)
    assert local.calls("PUT", "agent/check/update/_") == before + 1


def test_it_waits_for_a_leader(new_consul: NewConsul) -> None:
    consul = new_consul()
    consul.agent.kill()
    consul.agent.start(wait=False)
    assert consul.catalog.services() == {"consul": []}
    assert consul.catalog.leader() == consul.agent.rpc_advertised
    assert consul.leader == 0
