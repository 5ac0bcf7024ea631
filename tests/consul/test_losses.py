"""Registrations that the agent loses, or gives to somebody else, and how they come back."""

from __future__ import annotations

import time
from collections.abc import Callable

import callsheet
import pytest
from servers import AgentOptions, Consul
from servers.binaries import Version
from servers.fixtures import NewConsul
from servers.waiting import until
from shared.seen import Seen, registered, state_of, tagged

TTL = 6
# What was promised: a third of the TTL and a request; five times of it.
BACK = 5 * (TTL / 3 + 0.5)
WELL = {"callsheet:10.0.0.1:80": "passing", "serfHealth": "passing"}


def has(consul: Consul, *ports: int) -> bool:
    """Exactly these instances of billing, well and with their checks."""
    found = {instance.port: instance for instance in consul.catalog.instances("billing")}
    checks = {port: f"callsheet:10.0.0.1:{port}" for port in ports}
    return found.keys() == checks.keys() and all(
        found[port].checks == {check: "passing", "serfHealth": "passing"} for port, check in checks.items()
    )


def deregister(consul: Consul) -> None:
    consul.agent.local.deregister("10.0.0.1:80")


def deregister_in_the_catalog(consul: Consul) -> None:
    # The agent puts back by itself what it still has, within a minute: what comes back sooner is not our doing.
    consul.agent.local.deregister("10.0.0.1:80")
    consul.catalog.deregister(consul.agent.name, "10.0.0.1:80")


def deregister_the_check(consul: Consul) -> None:
    consul.agent.local.deregister_check("callsheet:10.0.0.1:80")


@pytest.mark.parametrize("by", [deregister, deregister_in_the_catalog, deregister_the_check])
def test_what_is_deregistered_by_hand_comes_back(by: Callable[[Consul], None], either: Consul) -> None:
    states: list[str] = []
    with callsheet.connect(either.url, ttl=TTL) as client:
        registration = registered(client, tags=["mine"], on_state=states.append)
        until(lambda: has(either, 80))
        by(either)
        assert not has(either, 80)
        until(lambda: has(either, 80), BACK)
        assert either.catalog.instances("billing")[0].tags == ("mine",)
        registration.wait("registered", 5)
        # A callback hears of a state after it was entered.
        until(lambda: states in (["registered", "lost", "registered"], ["registered"]))


def test_a_check_of_the_agents_comes_back_with_the_instance(either: Consul) -> None:
    with callsheet.connect(either.url, ttl=TTL) as client:
        check = callsheet.tcp(
            interval=1, timeout=0.5, address="127.0.0.1", port=int(either.agent.endpoint.split(":")[1])
        )
        registered(client, check=check)
        until(lambda: has(either, 80))
        deregister(either)
        until(lambda: has(either, 80), BACK)
        [found] = either.agent.local.checks().values()
        assert found["Type"] == "tcp"


def test_a_status_set_by_hand_comes_back_with_the_instance(either: Consul) -> None:
    with callsheet.connect(either.url, ttl=TTL) as client, Seen(client) as seen:
        registered(client).set_status("warning", "hot")
        registered(client, 81).drain()
        wanted = {80: "warning", 81: "draining"}
        seen.until(lambda snapshot: {one.port: one.status for one in snapshot} == wanted)
        for id in either.agent.local.services():
            either.agent.local.deregister(id)
        seen.until(lambda snapshot: len(snapshot) == 0)
        seen.until(lambda snapshot: {one.port: one.status for one in snapshot} == wanted)


def restart(consul: Consul) -> None:
    consul.agent.restart()


def wipe(consul: Consul) -> None:
    consul.agent.wipe()


@pytest.mark.parametrize("hurt", [restart, wipe])
def test_an_agent_that_comes_back_has_everything_again(
    hurt: Callable[[Consul], None], version: Version, new_consul: NewConsul
) -> None:
    consul = new_consul(clients=1, options=AgentOptions(version=version))
    with callsheet.connect(consul.url, ttl=TTL) as client, Seen(client) as seen:
        registrations = [registered(client, port) for port in (80, 81, 82)]
        until(lambda: has(consul, 80, 81, 82))
        seen.until(lambda snapshot: len(snapshot) == 3)
        hurt(consul)
        answered = time.monotonic()
        # The next try comes within a third of the TTL after the agent answers again, wherever the pause before was.
        until(lambda: has(consul, 80, 81, 82), 30)
        assert time.monotonic() - answered < BACK
        for registration in registrations:
            registration.wait("registered", 5)
        registrations[0].update(tags=["new"])
        seen.until(
            lambda snapshot: (
                snapshot.freshness == "live" and len(snapshot) == 3 and snapshot[0].tags == ("new",)
            )
        )


@pytest.mark.parametrize("hurt", [Consul.restart, Consul.wipe])
def test_a_lone_server_that_comes_back_has_everything_again(
    hurt: Callable[[Consul], None], version: Version, new_consul: NewConsul
) -> None:
    consul = new_consul(options=AgentOptions(version=version))
    with callsheet.connect(consul.url, ttl=TTL) as client, Seen(client) as seen:
        registration = registered(client, tags=["mine"])
        seen.until(tagged("mine"))
        hurt(consul)
        until(lambda: has(consul, 80), 30)
        with callsheet.connect(consul.url) as other:
            assert [one.tags for one in other.lookup("billing")] == [("mine",)]
        # It is followed on, whatever became of the index.
        registration.wait("registered", 5)
        registration.update(tags=["new"])
        seen.until(tagged("new"))


# --- Who has an id --------------------------------------------------------------------------------------------------


def test_whoever_comes_later_has_the_id_and_gives_it_back(either: Consul) -> None:
    states: list[str] = []
    with callsheet.connect(either.url, ttl=TTL) as one, Seen(one) as seen:
        first = registered(one, tags=["first"], on_state=states.append)
        seen.until(tagged("first"))
        with callsheet.connect(either.url, ttl=TTL) as other:
            registered(other, tags=["second"])
            seen.until(tagged("second"))
            first.wait("superseded", BACK)
            assert state_of(first) == ("superseded", "conflict")
            assert "is now registered by" in str(first.last_error)
            # What is changed meanwhile is kept for later.
            first.update(tags=["changed"])
            assert first.state == "superseded"
            assert [instance.tags for instance in one.lookup("billing")] == [("second",)]
        seen.until(tagged("changed"))
        first.wait("registered", 5)
    assert states == ["registered", "superseded", "registered", "closed"]
    until(lambda: either.catalog.instances("billing") == [])


def test_an_id_of_a_process_that_died_is_free(either: Consul) -> None:
    local = either.agent.local
    with (
        callsheet.connect(either.url, ttl=1) as one,
        callsheet.connect(either.url, ttl=1) as other,
        Seen(one) as seen,
    ):
        first = registered(one, tags=["first"], ttl=1)
        second = registered(other, tags=["second"], ttl=1)
        first.wait("superseded", BACK)
        # As of one that is killed: it neither renews nor withdraws any more.
        owner = local.services()[second.id]["Meta"]["callsheet-owner"]
        second.close()
        check = {"CheckID": f"callsheet:{second.id}", "TTL": "1s", "Status": "passing"}
        local.register(
            "billing", 80, id=second.id, address="10.0.0.1", meta={"callsheet-owner": owner}, check=check
        )
        seen.until(tagged("first"))
        first.wait("registered", BACK)


def test_who_is_superseded_withdraws_nothing(either: Consul) -> None:
    with callsheet.connect(either.url, ttl=TTL) as one, callsheet.connect(either.url, ttl=TTL) as other:
        # At once, before the first has had a look.
        first = registered(one, tags=["first"])
        registered(other, tags=["second"])
        first.close()
        until(lambda: [it.tags for it in either.catalog.instances("billing")] == [("second",)])
        assert has(either, 80)

        third = registered(one, tags=["third"])
        third.wait("registered", 5)
        until(lambda: [it.tags for it in either.catalog.instances("billing")] == [("third",)])


def test_what_another_tool_put_in_our_place_is_theirs(either: Consul) -> None:
    local = either.agent.local
    with callsheet.connect(either.url, ttl=TTL) as client, Seen(client) as seen:
        registration = registered(client, tags=["mine"])
        seen.until(tagged("mine"))
        local.register("billing", 99, id=registration.id, tags=["theirs"])
        seen.until(tagged("theirs"))
        registration.wait("superseded", BACK)
        assert "is now registered by another tool" in str(registration.last_error)
        local.deregister(registration.id)
        seen.until(tagged("mine"))
        registration.wait("registered", BACK)
        # Once more, and we leave.
        local.register("billing", 99, id=registration.id, tags=["theirs"])
        registration.close()
        assert local.services()[registration.id]["Tags"] == ["theirs"]


def test_what_another_tool_made_another_service_of_our_id(either: Consul) -> None:
    local = either.agent.local
    with callsheet.connect(either.url, ttl=TTL) as client, Seen(client) as seen:
        registration = registered(client, tags=["mine"])
        seen.until(tagged("mine"))
        local.register("elsewhere", 99, id=registration.id, tags=["theirs"])
        until(lambda: len(local.services()) == 2, BACK)
        registration.wait("registered", BACK)
        # Both have a place at the agent.
        registration.update(tags=["still"])
        seen.until(tagged("still"))
        assert registration.id == "10.0.0.1:80"
        assert [it.tags for it in either.catalog.instances("elsewhere")] == [("theirs",)]
    assert list(local.services()) == ["10.0.0.1:80"]
