"""Faults of the network are seen through the proxy, and nowhere else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
import servers.proxy
from servers import Cluster, Proxy, Unreachable
from servers.gateway import Gateway


@pytest.fixture(scope="module")
def etcd() -> Iterator[Cluster]:
    with Cluster(proxied=True) as cluster:
        yield cluster


@pytest.fixture
def proxy(etcd: Cluster) -> Iterator[Proxy]:
    proxy = etcd.proxies[0]
    yield proxy
    proxy.heal()
    ask(proxy)


def ask(proxy: Proxy, timeout: float = 10) -> None:
    Gateway(proxy.endpoint).call("maintenance/status", {}, timeout=timeout)


def test_a_healthy_proxy_is_not_noticed(etcd: Cluster, proxy: Proxy) -> None:
    assert etcd.endpoints == [proxy.endpoint] != [etcd.members[0].endpoint]
    assert etcd.url == f"etcd://{proxy.endpoint}"
    ask(proxy)


def test_blackhole(etcd: Cluster, proxy: Proxy) -> None:
    proxy.blackhole()
    with pytest.raises(Unreachable, match="timed out"):
        ask(proxy, 0.3)
    etcd.store.put("a", "1")


def test_blackhole_of_one_direction(etcd: Cluster, proxy: Proxy) -> None:
    before = etcd.calls("Status")
    proxy.blackhole(streams=["downstream"])
    with pytest.raises(Unreachable, match="timed out"):
        ask(proxy, 0.3)
    assert etcd.calls("Status") == before + 1, "the question came through, its answer did not"


def test_reset(proxy: Proxy) -> None:
    proxy.reset()
    with pytest.raises(Unreachable, match="ConnectionResetError"):
        ask(proxy)


def test_disabled(proxy: Proxy) -> None:
    proxy.disable()
    with pytest.raises(Unreachable, match="ConnectionRefusedError"):
        ask(proxy)
    proxy.enable()
    ask(proxy)


def test_cut(proxy: Proxy) -> None:
    host, port = proxy.endpoint.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        proxy.cut()
        assert connection.recv(1) == b""
    ask(proxy)


def test_another_server_at_the_same_address(etcd: Cluster, proxy: Proxy) -> None:
    host, port = proxy.endpoint.split(":")
    with Cluster() as other, socket.create_connection((host, int(port)), timeout=10) as connection:
        proxy.lead_to(other.endpoints[0])
        assert connection.recv(1) == b""
        before = other.calls("Status")
        ask(proxy)
        assert other.calls("Status") == before + 1
        proxy.lead_to(etcd.members[0].endpoint)


def test_renewed_at_once_however_much_was_held_back(proxy: Proxy) -> None:
    proxy.latency(60)
    for _ in range(3):
        with pytest.raises(Unreachable, match="timed out"):
            ask(proxy, 0.2)
    begun = time.monotonic()
    proxy.renew()
    ask(proxy)
    assert time.monotonic() - begun < 5


def test_removed(etcd: Cluster, proxy: Proxy) -> None:
    own = Proxy(proxy.process, "own", etcd.members[0].endpoint)
    ask(own)
    own.remove()
    with pytest.raises(Unreachable, match="ConnectionRefusedError"):
        ask(own)
    ask(proxy)


def test_latency_and_slices(proxy: Proxy) -> None:
    proxy.latency(0.2)
    proxy.slice(32)
    begun = time.monotonic()
    ask(proxy)
    assert time.monotonic() - begun >= 0.2


def test_bandwidth(etcd: Cluster, proxy: Proxy) -> None:
    etcd.store.put("big", bytes(30_000))  # 40 kB as base64
    proxy.bandwidth(100)
    begun = time.monotonic()
    Gateway(proxy.endpoint).call("kv/range", {"key": "Ymln"})
    assert time.monotonic() - begun >= 0.3


def test_a_proxy_heals_when_toxiproxy_hangs(
    etcd: Cluster, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.blackhole()
    toxiproxy = next(process for process in etcd.processes if process.name == "toxiproxy")
    toxiproxy.pause()
    monkeypatch.setattr(servers.proxy, "CALL_DEADLINE", 0.5)
    proxy.heal()
    ask(proxy)
