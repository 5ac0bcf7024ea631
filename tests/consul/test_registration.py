"""What Consul has of a registration, through its own interfaces, from the first moment to the last."""

from __future__ import annotations

import time
from functools import partial

import callsheet
import pytest
import resolver
from servers import Consul, Instance
from servers.binaries import Version
from servers.fixtures import NewConsul
from servers.waiting import until
from shared.seen import Seen, registered, state_of

SECONDS = 1_000_000_000


def only(consul: Consul, service: str = "billing") -> Instance:
    [found] = consul.catalog.instances(service)
    return found


def test_tools_that_know_nothing_of_callsheet_can_use_it(either: Consul) -> None:
    with callsheet.connect(either.url) as client:
        registration = registered(
            client,
            8080,
            tags=["v2", "ü"],
            metadata={"team": "pay"},
            weight=7,
            scheme="grpc",
            zone="eu-1",
            version="2.0",
        )
        until(lambda: either.catalog.ids("billing", passing=True) == [registration.id])
        found = only(either)
        assert (found.id, found.address, found.port) == ("10.0.0.1:8080", "10.0.0.1", 8080)
        assert (found.tags, found.weight, found.status) == (("v2", "ü"), 7, "passing")
        owner = found.meta.pop("callsheet-owner")
        assert "/" in owner
        assert found.meta == {
            "team": "pay",
            "callsheet-scheme": "grpc",
            "callsheet-zone": "eu-1",
            "callsheet-version": "2.0",
        }
        assert found.checks == {"callsheet:10.0.0.1:8080": "passing", "serfHealth": "passing"}
        assert found.node == either.agent.name

        answer = [resolver.Srv(8080, 7, "10.0.0.1")]
        for name in ("billing.service.consul", "v2.billing.service.consul"):
            assert resolver.srv(either.agent.dns, name) == answer
        assert resolver.srv(either.agent.dns, "v3.billing.service.consul") == []

        # Consul's DNS leaves out what is critical.
        registration.set_status("critical", "the disk is full")
        until(lambda: only(either).status == "critical")
        until(lambda: resolver.srv(either.agent.dns, "billing.service.consul") == [])
        checks = either.agent.local.checks()
        assert checks["callsheet:10.0.0.1:8080"]["Output"] == "the disk is full"
    until(lambda: either.catalog.instances("billing") == [])
    assert either.agent.local.checks() == {}


def test_what_is_plain_takes_no_room(consul: Consul) -> None:
    with callsheet.connect(consul.url) as client:
        registered(client)
        until(lambda: consul.catalog.ids("billing") == ["10.0.0.1:80"])
        found = only(consul)
        assert (list(found.meta), list(found.tags), found.weight) == (["callsheet-owner"], [], 1)


def test_a_ttl_check_is_renewed_three_times_a_ttl(either: Consul) -> None:
    states: list[str] = []
    with callsheet.connect(either.url, ttl=1) as client, Seen(client) as seen:
        registered(client, on_state=states.append)
        renewals = Renewals(either)
        while renewals.count() < 12:
            assert either.agent.local.checks()["callsheet:10.0.0.1:80"]["Status"] == "passing"
        assert states == ["registered"]
        # Nobody who watches hears of a renewal.
        seen.until(lambda snapshot: len(snapshot) == 1)
        assert client.stats()["publishes"] == 1
        assert client.stats()["snapshots"] <= 2


class Renewals:
    """How many TTL checks were renewed from here on."""

    def __init__(self, consul: Consul) -> None:
        self._consul = consul
        self._before = 0.0
        self._before = self.count()

    def count(self) -> float:
        metrics = self._consul.agent.local.metrics()
        return sum(count for name, count in metrics.items() if is_renewals(name)) - self._before


def is_renewals(name: str) -> bool:
    # 1.8 has a name for each path, 1.12 a label.
    return "check_update" in name and "_count" in name


def test_an_update_leaves_no_gap(either: Consul) -> None:
    states: list[str] = []
    with callsheet.connect(either.url) as client, Seen(client) as seen:
        registration = registered(client, tags=["0"], metadata={"n": "0"}, on_state=states.append)
        seen.until(lambda snapshot: len(snapshot) == 1)
        for number in range(1, 30):
            registration.update(tags=[str(number)], metadata={"n": str(number)}, weight=number)
            assert registration.last_error is None
            # Neither gone nor anything but passing at any moment.
            while True:
                snapshot = seen.until(lambda _: True)
                assert snapshot.freshness == "live"
                [one] = snapshot
                assert one.status == "passing"
                if one.tags == (str(number),):
                    break
            assert (one.metadata["n"], one.weight) == (str(number), number)
        assert states == ["registered"]
        assert only(either).tags == ("29",)


KEYS = ["kubernetes.io/name", "a b", "ключ", "é" * 42, "callsheet-owner", "callsheet-key-YQ", "x=y;z", "%20"]


def test_metadata_keys_that_consul_does_not_take(either: Consul) -> None:
    metadata = {key: f"of {key}" for key in KEYS} | {"plain_KEY-1": "as it is"}
    with callsheet.connect(either.url) as client:
        registered(client, metadata=metadata)
        until(lambda: len(either.catalog.instances("billing")) == 1)
        [one] = client.lookup("billing")
        assert one.metadata == metadata
        written = only(either).meta
        assert written["plain_KEY-1"] == "as it is"
        # echo -n kubernetes.io/name | basenc --base64url | tr -d =
        assert written["callsheet-key-a3ViZXJuZXRlcy5pby9uYW1l"] == "of kubernetes.io/name"

        with pytest.raises(callsheet.InvalidArgument, match=r"too long for Consul.*may have 84 bytes there"):
            client.register("billing", 81, "10.0.0.1", metadata={"é" * 43: "x"})
        registration = registered(client, 82, metadata={"k" * 128: "v" * 512})
        with pytest.raises(callsheet.InvalidArgument, match="too long for Consul"):
            registration.update(metadata={"é" * 43: "x"})


def test_as_much_as_may_be_registered(either: Consul) -> None:
    metadata = {f"{number:03}.{'k' * 80}": "v" * 512 for number in range(56)}
    tags = [f"{number:03}{'t' * 253}" for number in range(64)]
    with callsheet.connect(either.url) as client:
        registered(
            client,
            id="i" * 256,
            metadata=metadata,
            tags=tags,
            zone="z" * 256,
            version="v" * 256,
            scheme="grpc",
            weight=65_535,
        )
        [one] = client.wait_for("billing", timeout=10)
        assert (dict(one.metadata), list(one.tags), one.weight) == (metadata, tags, 65_535)
        assert (one.zone, one.version) == ("z" * 256, "v" * 256)


IDS = [
    'it\'s "quoted"',
    "50%",
    "50%25",
    "%2F",
    "a b",
    "a+b",
    "ключ-日本",
    "a:b",
    "a?b#c&d=e",
    "back\\slash",
    "..",
    ".",
    "`$(id)`;",
    "<i>",
    "[::1]:80",
]


@pytest.mark.parametrize("id", IDS)
def test_an_id_may_have_any_character(id: str, either: Consul) -> None:
    with callsheet.connect(either.url) as client, Seen(client) as seen:
        registration = registered(client, id=id)
        seen.until(lambda snapshot: [one.id for one in snapshot] == [id])
        registration.update(tags=["new"])
        seen.until(lambda snapshot: [one.tags for one in snapshot] == [("new",)])
        registration.set_status("warning", "a note")
        seen.until(lambda snapshot: [one.status for one in snapshot] == ["warning"])
        registration.drain()
        seen.until(lambda snapshot: [one.status for one in snapshot] == ["draining"])
        registration.set_status("passing")
        seen.until(lambda snapshot: [one.status for one in snapshot] == ["passing"])
        assert state_of(registration) == ("registered", None)
        # Whoever restarts takes the id over, and gives it back.
        with callsheet.connect(either.url) as other:
            registered(other, id=id, tags=["other"])
            seen.until(lambda snapshot: [(one.id, one.tags) for one in snapshot] == [(id, ("other",))])
    until(lambda: either.catalog.instances("billing") == [])
    assert either.agent.local.services() == {}
    assert either.agent.local.checks() == {}


def test_ids_that_look_alike_are_two(version: Version, either: Consul) -> None:
    ids = ["50%", "50_", "billing:50_", "a b", "a+b", "a%20b"]
    if version == "new":
        # Of two that differ in this only, 1.8 has one in its catalog.
        ids.append("A B")
    with callsheet.connect(either.url, ttl=1) as client, Seen(client) as seen:
        registrations = [registered(client, 80 + at, id=id) for at, id in enumerate(ids)]
        wanted = {id: 80 + at for at, id in enumerate(ids)}
        seen.until(lambda snapshot: {one.id: one.port for one in snapshot} == wanted)
        # Past some looks at what the agent has.
        renewals = Renewals(either)
        until(lambda: renewals.count() > 6 * len(ids), 30)
        assert {one.id: one.port for one in client.lookup("billing")} == wanted
        for registration in registrations:
            assert state_of(registration) == ("registered", None)
        del wanted[ids[0]]
        registrations[0].close()
        seen.until(lambda snapshot: {one.id: one.port for one in snapshot} == wanted)
    until(lambda: either.catalog.instances("billing") == [])


@pytest.mark.parametrize("clients", [1, 2], ids=["one client", "two clients"])
def test_two_services_with_one_id_on_one_agent(clients: int, either: Consul) -> None:
    with callsheet.connect(either.url, ttl=1) as one, callsheet.connect(either.url, ttl=1) as two:
        other = one if clients == 1 else two
        first = one.register("billing", 80, "10.0.0.1", id="web")
        second = other.register("orders", 81, "10.0.0.1", id="web")
        assert (state_of(first), state_of(second)) == (("registered", None), ("registered", None))
        for service, port in (("billing", 80), ("orders", 81)):
            [found] = one.wait_for(service, timeout=10)
            assert (found.id, found.port, "callsheet-id" in found.metadata) == ("web", port, False)
        # Past some looks at what the agent has.
        renewals = Renewals(either)
        until(lambda: renewals.count() > 12, 30)
        assert (first.state, second.state) == ("registered", "registered")
        assert one.stats()["losses"] + two.stats()["losses"] == 0
        first.close()
        until(lambda: either.catalog.instances("billing") == [])
        assert len(either.catalog.instances("orders")) == 1
        second.update(tags=["still"])
        until(lambda: only(either, "orders").tags == ("still",))
    until(lambda: either.catalog.instances("orders") == [])


def test_one_id_on_two_agents_is_two_instances(new_consul: NewConsul) -> None:
    consul = new_consul(clients=1)
    nodes = [member.name for member in consul.members]
    with (
        callsheet.connect(consul.url_of(0)) as here,
        callsheet.connect(consul.url_of(1)) as there,
        Seen(here) as seen,
    ):
        first = registered(here, 80, id="web")
        seen.until(lambda snapshot: [one.id for one in snapshot] == ["web"])
        second = registered(there, 81, id="web")
        both = {f"web@{nodes[0]}": 80, f"web@{nodes[1]}": 81}
        seen.until(lambda snapshot: {one.id: one.port for one in snapshot} == both)
        assert (state_of(first), state_of(second)) == (("registered", None), ("registered", None))
        assert (first.id, second.id) == ("web", "web")
        first.close()
        seen.until(lambda snapshot: {one.id: one.port for one in snapshot} == {"web": 81})
        assert second.state == "registered"


def test_whoever_registers_many_of_a_service_reads_its_list_and_asks_not_for_each(either: Consul) -> None:
    theirs = {"callsheet-owner": "node-7.3f2a9c10d4b8e65f/4711-8f14e45fceea167a"}
    either.catalog.register("elsewhere", "billing", 80, id="10.0.0.1:80", meta=theirs)
    asked = partial(either.agent.local.calls, "GET", "health/service/_")
    with callsheet.connect(either.url) as client:
        before, began = asked(), time.monotonic()
        ids = {port: registered(client, port).id for port in range(100, 0, -1)}
        seconds = int(time.monotonic() - began) + 1
        # Eight questions and a list in each second.
        assert asked() - before <= 9 * seconds
    # What another machine has is found in either.
    assert ids.pop(80).startswith("10.0.0.1:80~")
    assert ids == {port: f"10.0.0.1:{port}" for port in ids}
