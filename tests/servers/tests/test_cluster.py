"""Clusters start, are hurt, and come back; both versions."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from servers import QUICK, Cluster, Options, StartFailed, Unreachable, ports
from servers.binaries import Version
from servers.fixtures import NewCluster
from servers.gateway import Gateway
from servers.waiting import until


@pytest.mark.parametrize("version", ["new", "old"])
def test_a_node_is_stopped_killed_and_wiped(version: Version, new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(version=version, flags=QUICK))
    store, endpoints, first_id = etcd.store, etcd.endpoints, etcd.store.cluster_id()
    revision = store.put("a", "1")
    etcd.restart()
    assert store.revision() == revision
    etcd.members[0].kill()
    assert not etcd.members[0].healthy
    etcd.members[0].start()
    assert store.revision() == revision

    etcd.wipe()
    assert (store.prefix(""), etcd.endpoints) == ({}, endpoints)
    assert store.revision() < revision
    assert store.cluster_id() == first_id
    etcd.wipe(new_id=True)
    assert store.cluster_id() != first_id


def test_three_nodes_answer_while_one_is_paused_or_killed(new_cluster: NewCluster) -> None:
    etcd = new_cluster(3, options=Options(flags=QUICK))
    assert len(etcd.endpoints) == len(etcd.store.members()) == 3
    leader = etcd.members[etcd.leader]
    leader.pause()
    with pytest.raises(Unreachable, match="timed out"):
        Gateway(leader.endpoint).call("kv/range", {"key": "YQ=="}, timeout=0.2)
    etcd.store.put("a", "1")
    assert etcd.members[etcd.leader] is not leader
    leader.resume()
    leader.wait_healthy()
    leader.kill()
    etcd.store.put("a", "2")
    leader.start()
    entry = etcd.store.get("a")
    assert entry is not None
    assert entry.value == b"2"


def test_without_a_majority_nobody_is_healthy(new_cluster: NewCluster) -> None:
    etcd = new_cluster(3, options=Options(flags=QUICK))
    for member in etcd.members[:2]:
        member.kill()
    until(lambda: not etcd.members[2].healthy)
    etcd.members[0].start(wait=False)
    etcd.members[2].wait_healthy()


def test_a_taken_port_is_left_alone(etcd: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [int(endpoint.rpartition(":")[2]) for endpoint in etcd.endpoints]
    right = ports.free

    def first_the_taken_ones(count: int) -> list[int]:
        return [taken.pop(), *right(count - 1)] if taken else right(count)

    monkeypatch.setattr(ports, "free", first_the_taken_ones)
    with Cluster() as second:
        assert not taken, "it was tried"
        assert second.endpoints != etcd.endpoints
        second.store.put("a", "1")


def test_servers_that_start_at_once_get_ports_of_their_own() -> None:
    with ThreadPoolExecutor(16) as threads:
        found = [port for few in threads.map(ports.free, [10] * 50) for port in few]
    assert len(set(found)) == len(found)


def test_a_failed_start_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StartFailed, match="should be at least as 5 times"):
        Cluster(options=Options(flags=("--election-timeout", "1")))
    assert list(tmp_path.iterdir()) == []


def test_closing_leaves_no_process_and_no_file() -> None:
    with Cluster(3, proxied=True) as etcd:
        processes, folder = etcd.processes, etcd.folder
        assert all(process.running for process in processes)
        assert folder.is_dir()
        etcd.members[1].pause()
    assert not any(process.running for process in processes)
    assert not folder.exists()
