"""Consuls start, are hurt, and come back; both versions."""

from __future__ import annotations

import socket
import struct
import tempfile
from pathlib import Path

import pytest
from servers import AgentOptions, Consul, Refused, StartFailed, Unreachable, ports
from servers.api import Api
from servers.binaries import Version
from servers.fixtures import NewConsul
from servers.waiting import until

versions = pytest.mark.parametrize("version", ["new", "old"])


@versions
def test_a_server_is_stopped_killed_and_wiped(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version))
    agent, catalog, endpoints = consul.agent, consul.catalog, consul.endpoints
    agent.local.register("a", 80)
    consul.restart()
    assert catalog.ids("a") == ["a"]
    agent.kill()
    assert not agent.healthy
    agent.start()
    assert catalog.ids("a") == ["a"]
    for port in (80, 81, 82):
        agent.local.register("a", port)
    index = catalog.index("a")
    consul.wipe()
    assert (agent.local.services(), catalog.ids("a"), consul.endpoints) == ({}, [], endpoints)
    assert catalog.index("a") < index


@versions
def test_a_client_agent_is_wiped_and_stays_the_same_node(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(clients=1, options=AgentOptions(version=version))
    assert [member.name for member in consul.members] == ["client0", "server0"]
    assert (consul.clients, consul.servers) == (consul.members[:1], consul.members[1:])
    assert consul.agent is consul.clients[0]
    consul.agent.local.register("a", 80)
    until(lambda: [found.node for found in consul.catalog.instances("a")] == ["client0"])
    id = consul.catalog.call("GET", "catalog/node/client0")["Node"]["ID"]
    consul.agent.wipe()
    assert consul.agent.local.services() == {}
    until(lambda: consul.catalog.ids("a") == [])
    consul.agent.local.register("a", 80)
    until(lambda: consul.catalog.ids("a") == ["a"])
    assert consul.catalog.call("GET", "catalog/node/client0")["Node"]["ID"] == id == consul.agent.node_id


@versions
def test_a_client_agent_finds_a_wiped_server(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(clients=1, options=AgentOptions(version=version))
    consul.agent.local.register("a", 80)
    consul.servers[0].wipe()
    consul.wait_healthy()
    until(lambda: consul.catalog.ids("a") == ["a"], 30)


@versions
def test_a_client_agent_is_cut_off_from_its_server(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(clients=1, options=AgentOptions(version=version), rpc_proxied=True)
    agent, [server], [proxy] = consul.agent, consul.servers, consul.rpc_proxies
    agent.local.register("a", 80)
    until(lambda: consul.catalog.ids("a") == ["a"])
    proxy.disable()
    with pytest.raises(Refused, match=r"rpc error|No known Consul servers") as refused:
        agent.api().call("GET", "health/service/a")
    assert refused.value.code == 500
    assert not agent.healthy
    assert list(agent.local.services()) == ["a"]
    assert server.catalog.ids("a", passing=True) == ["a"]
    proxy.enable()
    agent.wait_healthy()
    proxy.blackhole()
    with pytest.raises(Unreachable, match="timed out"):
        agent.api().call("GET", "health/service/a", timeout=0.3)
    assert server.catalog.ids("a", passing=True) == ["a"]
    proxy.heal()
    agent.wait_healthy()


def test_a_paused_agent_is_found_failed(new_consul: NewConsul) -> None:
    consul = new_consul(clients=1)
    consul.agent.local.register("a", 80)
    until(lambda: consul.catalog.ids("a", passing=True) == ["a"])
    consul.agent.pause()
    with pytest.raises(Unreachable, match="timed out"):
        consul.agent.api().call("GET", "agent/services", timeout=0.2)
    until(lambda: consul.servers[0].local.members()["client0"] == "failed", 30)
    until(lambda: consul.catalog.ids("a", passing=True) == [])
    assert consul.catalog.checks_of_node("client0")["serfHealth"] == "critical"
    assert [found.status for found in consul.catalog.instances("a")] == ["critical"]
    consul.agent.resume()
    until(lambda: consul.catalog.ids("a", passing=True) == ["a"], 30)


def test_an_agent_leaves_and_comes_back(new_consul: NewConsul) -> None:
    consul = new_consul(clients=1)
    consul.agent.local.register("a", 80)
    until(lambda: consul.catalog.ids("a") == ["a"])
    consul.agent.leave()
    assert not consul.agent.process.running
    until(lambda: consul.servers[0].local.members()["client0"] == "left")
    until(lambda: "serfHealth" not in consul.catalog.checks_of_node("client0"))
    consul.agent.start()
    until(lambda: consul.servers[0].local.members()["client0"] == "alive")
    until(lambda: consul.catalog.ids("a", passing=True) == ["a"])


@versions
def test_three_servers_answer_while_one_is_paused_or_killed(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(3, options=AgentOptions(version=version))
    assert len(consul.endpoints) == len(consul.catalog.call("GET", "status/peers")) == 3
    leader = consul.members[consul.leader]
    leader.pause()
    second = consul.members[consul.leader]
    assert second is not leader

    def registered() -> bool:
        try:
            second.local.register("a", 80)
        except Unreachable:
            return False
        return True

    # What an agent has asked the server that hangs is lost when the connection is, which Consul sees after 30 s to 40 s
    # (yamux's keep-alive and its timeout).
    until(registered, 60)
    until(lambda: consul.catalog.ids("a") == ["a"], 60)
    leader.resume()
    leader.wait_healthy()
    second.kill()
    assert consul.members[consul.leader] is not second
    second.start()
    second.wipe()
    consul.wait_healthy()


def test_without_a_majority_nobody_is_healthy(new_consul: NewConsul) -> None:
    consul = new_consul(3)
    for member in consul.members[:2]:
        member.kill()
    until(lambda: not consul.members[2].healthy)

    def leaderless() -> bool:
        # It says so after 7 s, in which there might be one.
        answer = consul.members[2].api().answer("GET", "catalog/nodes", timeout=15)
        return answer.status == 500 and b"No cluster leader" in answer.body

    until(leaderless, 30)
    consul.members[0].start(wait=False)
    consul.members[2].wait_healthy()


@versions
def test_two_datacenters_know_each_other(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(datacenters=2, options=AgentOptions(version=version))
    first, second = consul.members
    assert (first.datacenter, second.datacenter) == ("dc1", "dc2")
    assert consul.catalog.datacenters() == ["dc1", "dc2"]
    assert set(first.local.members(wan=True).values()) == {"alive"}
    assert list(first.local.members()) == ["server0"]
    second.local.register("a", 80)
    until(lambda: consul.catalog.ids("a", dc="dc2") == ["a"])
    assert consul.catalog.ids("a") == []
    assert consul.url_of(1, path="/dc2") == f"consul://{second.endpoint}/dc2"
    with pytest.raises(Refused, match="No path to datacenter"):
        consul.catalog.services(dc="dc3")
    second.kill()
    with pytest.raises((Refused, Unreachable)):
        first.api().call("GET", "catalog/services", dc="dc2", timeout=1)
    second.start()
    consul.wait_healthy()


def test_the_proxy_is_before_programs_only(new_consul: NewConsul) -> None:
    consul = new_consul(proxied=True)
    [proxy] = consul.proxies
    assert consul.endpoints == [proxy.endpoint] != [consul.agent.endpoint]
    assert consul.url == f"consul://{proxy.endpoint}"
    assert Api(proxy.endpoint).call("GET", "agent/services") == {}
    proxy.blackhole()
    with pytest.raises(Unreachable, match="timed out"):
        Api(proxy.endpoint).call("GET", "agent/services", timeout=0.3)
    assert consul.agent.local.services() == {}
    proxy.heal()
    assert Api(proxy.endpoint).call("GET", "agent/services") == {}


def test_a_proxy_of_rpc_comes_back_after_toxiproxy_was_started_anew(new_consul: NewConsul) -> None:
    consul = new_consul(clients=1, rpc_proxied=True)
    [proxy] = consul.rpc_proxies
    endpoint = proxy.endpoint
    proxy.blackhole()
    proxy.process.restart()
    consul.agent.wait_healthy()
    assert proxy.endpoint == endpoint == consul.servers[0].rpc_advertised


@versions
def test_it_answers_on_its_socket_and_by_dns(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version))
    consul.agent.local.register("a", 80)
    assert consul.agent.socket is not None
    consul.agent.kill()  # which leaves the file there
    consul.agent.start()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(consul.agent.socket))
        connection.sendall(b"GET /v1/agent/services HTTP/1.0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.0 200 OK")
    assert _answers(consul, "a.service.consul") == 1
    assert _answers(consul, "b.service.consul") == 0


def _answers(consul: Consul, name: str) -> int:
    host, port = consul.agent.dns.split(":")
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(5)
        query = struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 33, 1)
        connection.sendto(query, (host, int(port)))
        return int(struct.unpack(">6H", connection.recv(4096)[:12])[3])


def test_a_taken_port_is_left_alone(consul: Consul, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [int(consul.agent.endpoint.rpartition(":")[2])]
    right = ports.free

    def first_the_taken_one(count: int) -> list[int]:
        return [taken.pop(), *right(count - 1)] if taken else right(count)

    monkeypatch.setattr(ports, "free", first_the_taken_one)
    with Consul() as second:
        assert not taken, "it was tried"
        assert second.endpoints != consul.endpoints
        second.agent.local.register("a", 80)
    assert consul.agent.local.services() == {}


def test_a_failed_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StartFailed, match="invalid config key stage"):
        Consul(options=AgentOptions(config={"stage": "left"}))
    assert list(tmp_path.iterdir()) == []


def test_closing_leaves_no_process_and_no_file() -> None:
    with Consul(clients=1, proxied=True) as consul:
        processes, folder = consul.processes, consul.folder
        assert len(processes) == 3
        assert all(process.running for process in processes)
        consul.agent.pause()
    assert not any(process.running for process in processes)
    assert not folder.exists()
