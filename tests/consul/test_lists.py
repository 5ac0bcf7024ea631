"""What lists are worth: empty ones, old ones, those of other datacenters, and from whom they are."""

from __future__ import annotations

from collections.abc import Iterator

import callsheet
import pytest
from servers import AgentOptions, Consul
from servers.acl import RULES
from servers.binaries import Version
from servers.fixtures import NewConsul
from servers.waiting import until
from shared.seen import Seen, chain, registered, state_of, tagged

# --- Empty lists ----------------------------------------------------------------------------------------------------


def test_scaling_to_zero_is_believed_at_once(either: Consul) -> None:
    with (
        callsheet.connect(either.url) as client,
        callsheet.connect(either.url) as reader,
        Seen(reader) as seen,
    ):
        for registration in [registered(client, port) for port in (80, 81)]:
            seen.until(lambda snapshot: len(snapshot) > 0 and snapshot.freshness == "live")
            registration.close()
        seen.until(lambda snapshot: len(snapshot) == 0 and snapshot.freshness == "live")
        assert reader.stats()["empty_held"] == 0
        # And that it is there again.
        registered(client, 82)
        seen.until(lambda snapshot: [one.port for one in snapshot] == [82])


def test_scaling_to_zero_is_believed_of_a_1_12_with_rights(with_acl: Consul) -> None:
    reader = with_acl.url_of(token=with_acl.tokens["reader"])
    with callsheet.connect(with_acl.url) as app, callsheet.connect(reader) as client, Seen(client) as seen:
        registration = registered(app)
        seen.until(lambda snapshot: len(snapshot) == 1)
        registration.close()
        seen.until(lambda snapshot: len(snapshot) == 0 and snapshot.freshness == "live")
        assert client.stats()["empty_held"] == 0


def test_an_empty_list_of_a_1_8_with_rights_proves_nothing(new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version="old", acl=True))
    reader = consul.url_of(token=consul.tokens["reader"], empty_hold="2s")
    with callsheet.connect(consul.url) as app, callsheet.connect(reader) as client, Seen(client) as seen:
        registration = registered(app)
        seen.until(lambda snapshot: len(snapshot) == 1)
        registration.close()
        held = seen.until(lambda snapshot: snapshot.freshness == "stale")
        assert len(held) == 1 and "nothing proves it" in str(held.last_error)
        # Until it was so for long enough.
        seen.until(lambda snapshot: len(snapshot) == 0 and snapshot.freshness == "live")
        assert client.stats()["empty_held"] == 1


def test_a_token_that_loses_its_rights_empties_no_list(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version, acl=True))
    token = consul.acl.token(RULES["reader"])
    with (
        callsheet.connect(consul.url) as app,
        callsheet.connect(consul.url_of(token=token)) as client,
        # A query that waits is not ended by what happens to its token, so that it may take its minute.
        Seen(client, deadline=90) as seen,
    ):
        registration = registered(app)
        seen.until(lambda snapshot: len(snapshot) == 1)
        # Consul hides from now on what the token may not read, and answers with an empty list.
        consul.acl.change(token, "")
        registration.update(tags=["moves the index"])
        stale = seen.until(lambda snapshot: snapshot.freshness == "stale")
        assert len(stale) == 1
        until(lambda: getattr(client.lookup("billing").last_error, "code", None) == "permission_denied", 25)
        assert 'service "billing" { policy = "read" }' in str(client.lookup("billing").last_error)
        consul.acl.change(token, RULES["reader"])
        live = seen.until(lambda snapshot: snapshot.freshness == "live")
        assert [one.tags for one in live] == [("moves the index",)]
        assert client.stats()["empty_held"] == 0


def test_a_token_that_is_deleted_empties_no_list(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version, acl=True))
    token = consul.acl.token(RULES["reader"])
    with (
        callsheet.connect(consul.url) as app,
        callsheet.connect(consul.url_of(token=token)) as client,
        Seen(client) as seen,
    ):
        registration = registered(app)
        seen.until(lambda snapshot: len(snapshot) == 1)
        consul.acl.revoke(token)
        registration.update(tags=["moves the index"])
        stale = seen.until(lambda snapshot: snapshot.freshness == "stale")
        assert len(stale) == 1
        until(lambda: getattr(client.lookup("billing").last_error, "code", None) == "unauthenticated", 25)
        consul.acl.restore(token)
        live = seen.until(lambda snapshot: snapshot.freshness == "live")
        assert [one.tags for one in live] == [("moves the index",)]


# --- Names ----------------------------------------------------------------------------------------------------------


def test_names_come_and_go(either: Consul) -> None:
    with callsheet.connect(either.url) as client:
        names = client.watch_services()
        assert next(names) == ["consul"]
        registration = registered(client)
        assert next(names) == ["billing", "consul"]
        registration.close()
        assert next(names) == ["consul"]


# --- Datacenters ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def datacenters() -> Iterator[Consul]:
    with Consul(datacenters=2) as consul:
        yield consul


def test_two_datacenters(datacenters: Consul) -> None:
    here, there = datacenters.members
    here.local.register("web", 80, id="here")
    there.local.register("web", 81, id="there")
    for url, wanted in (
        (datacenters.url_of(0), "here"),
        (datacenters.url_of(1), "there"),
        (datacenters.url_of(0, path="/dc2"), "there"),
        (datacenters.url_of(0, datacenter="dc2"), "there"),
        (datacenters.url_of(1, path="/dc1"), "here"),
    ):
        with callsheet.connect(url) as client:
            assert [one.id for one in client.wait_for("web", timeout=10)] == [wanted]
            assert "web" in client.services()
    # It goes on.
    with callsheet.connect(datacenters.url_of(0), datacenter="dc2") as client, Seen(client, "web") as seen:
        seen.until(lambda snapshot: len(snapshot) == 1)
        there.local.register("web", 82, id="there too")
        seen.until(lambda snapshot: len(snapshot) == 2)


def test_registering_is_with_the_agents_own_datacenter(datacenters: Consul) -> None:
    with callsheet.connect(datacenters.url_of(0, path="/dc2")) as client:
        registration = client.register("billing", 80, "10.0.0.1")
        assert state_of(registration) == ("registered", None)
        until(lambda: len(datacenters.catalog.instances("billing", dc="dc1")) == 1)
        assert datacenters.catalog.instances("billing", dc="dc2") == []


def test_an_unknown_datacenter(datacenters: Consul) -> None:
    told = 'knows no way to the datacenter "mars": look for its name in `consul catalog datacenters`'
    with callsheet.connect(datacenters.url_of(0, path="/mars")) as client:
        with pytest.raises(callsheet.Unavailable) as caught:
            client.ping()
        assert told in str(caught.value) and "/mars" in str(caught.value)
        with pytest.raises(callsheet.Unavailable) as caught:
            client.lookup("web")
        assert told in "".join(chain(caught.value))


# --- From whom ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("consistency", ["stale", "default", "consistent"])
def test_every_consistency(consistency: str, either: Consul) -> None:
    url = either.url_of(consistency=consistency)
    with callsheet.connect(either.url) as app, callsheet.connect(url) as client, Seen(client) as seen:
        registration = registered(app, tags=["0"])
        for number in range(1, 5):
            seen.until(tagged(str(number - 1)))
            registration.update(tags=[str(number)])
        registration.close()
        seen.until(lambda snapshot: len(snapshot) == 0 and snapshot.freshness == "live")


def test_near_is_asked_for(consul: Consul) -> None:
    # The order of a list is nobody's business, as snapshots are sorted; that Consul takes it is.
    consul.agent.local.register("web", 80)
    for near in ("_agent", consul.agent.name):
        with callsheet.connect(consul.url_of(near=near)) as client, Seen(client, "web") as seen:
            seen.until(lambda snapshot: len(snapshot) == 1 and snapshot.freshness == "live")
            consul.agent.local.register("web", 80, tags=[near])
            seen.until(tagged(near))
