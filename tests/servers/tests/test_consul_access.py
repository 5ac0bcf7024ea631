"""Whom a Consul lets in: tokens, certificates, and how many."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack

import pytest
from servers import Agent, AgentOptions, Refused, Unreachable
from servers.api import Api
from servers.binaries import Version
from servers.certificates import Certificates, Kind
from servers.fixtures import NewConsul
from servers.local import Local
from servers.waiting import until

versions = pytest.mark.parametrize("version", ["new", "old"])


def ids(agent: Agent, token: str) -> list[str] | str:
    """What one with this token reads of the service `a`, or the words it is refused with."""
    try:
        found = agent.api(token).call("GET", "health/service/a", consistent=True)
        return [entry["Service"]["ID"] for entry in found]
    except Refused as error:
        assert error.code == 403
        return error.message


@versions
def test_tokens_may_what_their_rules_say(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version, acl=True))
    agent, tokens = consul.agent, consul.tokens
    assert tokens.keys() == {"root", "app", "reader", "none"}
    assert consul.url == f"consul://{agent.endpoint}?token={tokens['app']}"
    assert consul.url_of(token="") == f"consul://{agent.endpoint}"
    Local(agent.api(tokens["app"])).register("a", 80)
    until(lambda: ids(agent, tokens["reader"]) == ["a"])
    for token in (tokens["reader"], tokens["none"], ""):
        with pytest.raises(Refused, match="Permission denied") as refused:
            Local(agent.api(token)).register("a", 81)
        assert refused.value.code == 403
    assert ids(agent, tokens["none"]) == ids(agent, "") == []
    consul.wipe()
    assert consul.tokens == tokens
    Local(agent.api(tokens["app"])).register("a", 80)
    until(lambda: ids(agent, tokens["reader"]) == ["a"])


@versions
def test_tokens_are_made_changed_taken_and_given_back(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(clients=1, options=AgentOptions(version=version, acl=True))
    Local(consul.agent.api(consul.tokens["app"])).register("a", 80)
    rules = 'service "{}" {{ policy = "read" }} node_prefix "" {{ policy = "read" }}'
    token = consul.acl.token(rules.format("a"))
    for agent in consul.members:
        until(lambda agent=agent: ids(agent, token) == ["a"])  # type: ignore[misc]
    consul.acl.change(token, rules.format("b"))
    for agent in consul.members:
        until(lambda agent=agent: ids(agent, token) == [])  # type: ignore[misc]
    consul.acl.change(token, rules.format("a"))
    consul.acl.revoke(token)
    for agent in consul.members:
        until(lambda agent=agent: "ACL not found" in ids(agent, token))  # type: ignore[misc]
    consul.acl.restore(token)
    for agent in consul.members:
        until(lambda agent=agent: ids(agent, token) == ["a"])  # type: ignore[misc]
    consul.wipe()
    Local(consul.agent.api(consul.tokens["app"])).register("a", 80)
    until(lambda: ids(consul.agent, token) == ["a"])


@versions
def test_tokens_of_the_first_datacenter_are_good_in_the_second(
    version: Version, new_consul: NewConsul
) -> None:
    consul = new_consul(datacenters=2, options=AgentOptions(version=version, acl=True))
    second = consul.members[1]
    Local(second.api(consul.tokens["app"])).register("a", 80)
    until(lambda: ids(second, consul.tokens["reader"]) == ["a"])
    assert ids(second, consul.tokens["none"]) == []


@versions
def test_only_client_certificates_of_the_ca_get_in(
    version: Version, certificates: Certificates, new_consul: NewConsul
) -> None:
    consul = new_consul(
        options=AgentOptions(version=version, certificates=certificates, client_certificates=True)
    )
    endpoint = consul.agent.endpoint
    assert consul.url.startswith(f"consuls://{endpoint}?ca={certificates.ca}&cert=")
    assert consul.agent.socket is None
    assert asked(endpoint, certificates, client=True) == {}
    with pytest.raises(Unreachable):
        asked(endpoint, certificates)
    with pytest.raises((Unreachable, Refused)):
        Api(endpoint).call("GET", "agent/services")
    bad: tuple[Kind, ...] = ("expired", "unknown-ca")
    for kind in bad:
        certificates.issue_client(kind)
        with pytest.raises(Unreachable):
            asked(endpoint, certificates, client=True)
    certificates.issue_client("good", days=3)
    assert asked(endpoint, certificates, client=True) == {}


@versions
def test_bad_certificates_of_the_agent_are_seen(
    version: Version, certificates: Certificates, new_consul: NewConsul
) -> None:
    consul = new_consul(options=AgentOptions(version=version, certificates=certificates))
    reasons: dict[Kind, str] = {
        "expired": "certificate has expired",
        "unknown-ca": "unable to get local issuer certificate",
        "wrong-name": "IP address mismatch",
    }
    for kind, reason in reasons.items():
        consul.rotate(kind)
        with pytest.raises(Unreachable, match=reason):
            asked(consul.agent.endpoint, certificates)
        assert consul.agent.local.services() == {}
    consul.rotate()
    assert asked(consul.agent.endpoint, certificates) == {}


def asked(endpoint: str, certificates: Certificates, *, client: bool = False) -> object:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    if client:
        context.load_cert_chain(certificates.client_cert, certificates.client_key)
    return Api(endpoint, context).call("GET", "agent/services")


@versions
def test_connections_above_the_limit_are_refused_but_the_fixtures_own(
    version: Version, new_consul: NewConsul
) -> None:
    consul = new_consul(options=AgentOptions(version=version, http_max_conns_per_client=3))
    host, port = consul.agent.endpoint.split(":")
    with ExitStack() as connections:

        def connected() -> socket.socket:
            return connections.enter_context(socket.create_connection((host, int(port)), timeout=5))

        for _ in range(3):
            connection = connected()
            connection.sendall(b"GET /v1/agent/services HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        # Without waiting for a question; one that was asked would make a reset of it.
        assert connected().recv(1000)[:13] == (b"HTTP/1.1 429 " if version == "new" else b"")
        assert consul.agent.local.services() == {}
