"""`dns://`, with Consul's own DNS."""

from __future__ import annotations

import time

import callsheet
import pytest
from servers import AgentOptions, Consul
from servers.fixtures import NewConsul
from servers.waiting import until
from shared.seen import registered


def url(consul: Consul, more: str = "") -> str:
    return f"dns://{consul.agent.dns}/service.consul{more}"


def shown(client: callsheet.Client, service: str = "billing") -> list[tuple[str, int]]:
    return [(instance.id, instance.weight) for instance in client.lookup(service)]


def test_services_are_found_and_followed(either: Consul) -> None:
    with callsheet.connect(either.url) as provider, callsheet.connect(url(either)) as client:
        registered(provider, 8080, weight=7)
        until(lambda: shown(client) == [("10.0.0.1:8080", 7)])
        found = client.lookup("billing")
        assert (found.freshness, found.source) == ("live", url(either))
        second = registered(provider, 8081)
        until(lambda: shown(client) == [("10.0.0.1:8080", 7), ("10.0.0.1:8081", 1)])
        second.close()
        until(lambda: shown(client) == [("10.0.0.1:8080", 7)])
        assert client.picker("billing").pick().url == "http://10.0.0.1:8080"
        assert len(client.lookup("nobody")) == 0


def test_all_of_many_are_in_an_answer(either: Consul) -> None:
    """Over UDP, Consul leaves out what does not fit, without a word."""
    for port in range(1, 101):
        either.agent.local.register("billing", port, id=f"i{port}", address="10.0.0.1")
    until(lambda: len(either.catalog.ids("billing")) == 100)
    with callsheet.connect(url(either)) as client:
        assert {one.port for one in client.lookup("billing")} == set(range(1, 101))


def test_addresses_with_the_port_of_the_url(either: Consul) -> None:
    either.agent.local.register("billing", 0, id="a", address="10.0.0.1")
    either.agent.local.register("billing", 0, id="b", address="2001:db8::1")
    until(lambda: either.catalog.ids("billing") == ["a", "b"])
    with callsheet.connect(url(either, "?port=9000")) as client:
        assert [one.url for one in client.lookup("billing")] == [
            "http://10.0.0.1:9000",
            "http://[2001:db8::1]:9000",
        ]
    unknown = pytest.raises(callsheet.Unavailable, match="no SRV records, so its port is not known")
    with callsheet.connect(url(either)) as client, unknown:
        client.lookup("billing")


def test_an_empty_answer_proves_nothing(either: Consul) -> None:
    with callsheet.connect(either.url) as provider, callsheet.connect(url(either)) as client:
        with registered(provider, 8080):
            until(lambda: len(client.lookup("billing")) == 1)
        until(lambda: client.lookup("billing").freshness == "stale")
        kept = client.lookup("billing")
        assert len(kept) == 1
        assert "nothing proves it" in str(kept.last_error)


def test_a_time_to_live_is_respected(new_consul: NewConsul) -> None:
    ttl = 3
    options = AgentOptions(config={"dns_config": {"service_ttl": {"*": f"{ttl}s"}}})
    consul = new_consul(options=options)
    with callsheet.connect(consul.url) as provider, callsheet.connect(url(consul)) as client:
        registered(provider, 8080)
        until(lambda: consul.catalog.ids("billing", passing=True) == ["10.0.0.1:8080"])
        watch = client.watch("billing")
        assert len(next(watch)) == 1
        asked = time.monotonic()
        registered(provider, 8081)
        assert len(next(watch)) == 2
        assert ttl - 1 < time.monotonic() - asked < 5 * ttl


def test_a_resolver_that_is_away_leaves_the_last_list(new_consul: NewConsul) -> None:
    consul = new_consul()
    consul.agent.local.register("billing", 80, id="a", address="10.0.0.1")
    until(lambda: consul.catalog.ids("billing") == ["a"])
    with callsheet.connect(url(consul), timeout=2) as client:
        assert shown(client) == [("10.0.0.1:80", 1)]
        consul.agent.kill()
        until(lambda: client.lookup("billing").freshness == "stale", 25)
        assert shown(client) == [("10.0.0.1:80", 1)]
        with pytest.raises(callsheet.Unavailable, match="check that a resolver listens there"):
            client.ping()
        with pytest.raises(callsheet.Unavailable):
            client.lookup("orders")
        consul.agent.start()
        consul.wait_healthy()
        until(lambda: client.lookup("billing").freshness == "live", 25)


def test_it_stands_in_for_http(new_consul: NewConsul) -> None:
    consul = new_consul(proxied=True)
    consul.agent.local.register("billing", 80, id="a", address="10.0.0.1")
    until(lambda: consul.catalog.ids("billing") == ["a"])
    consul.proxies[0].disable()
    with callsheet.connect(consul.url, fallback=[url(consul)]) as client:
        found = client.lookup("billing")
        assert (found.freshness, found.source) == ("fallback", url(consul))
        consul.proxies[0].enable()
        until(lambda: client.lookup("billing").freshness == "live", 25)


def test_what_dns_can_not_do(either: Consul) -> None:
    with callsheet.connect(url(either)) as client:
        client.ping()
        with pytest.raises(callsheet.InvalidArgument, match="DNS is read only"):
            client.register("billing", 80)
        with pytest.raises(callsheet.Unavailable, match="can't list services"):
            client.services()
    for wrong in ("dns://h/a..b", "dns://h/x?port=0", "memory:?port=1"):
        with pytest.raises(callsheet.Config):
            callsheet.connect(wrong)
