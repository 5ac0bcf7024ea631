"""What a test reads and changes in an etcd."""

from __future__ import annotations

import pytest
from servers import QUICK, Cluster, Options, Refused
from servers.fixtures import NewCluster


def test_keys(etcd: Cluster) -> None:
    store = etcd.store
    first = store.put("/services/a/1", b"\xff\x00")
    assert store.transaction({"/services/a/2": "two", "/services/ab/1": ""}, ["/services/a/0"]) == first + 1
    assert list(store.prefix("/services/a/")) == ["/services/a/1", "/services/a/2"]
    assert store.prefix("/services/a/")["/services/a/1"].value == b"\xff\x00"
    assert store.prefix("")["/services/ab/1"].mod_revision == first + 1 == store.revision()
    store.delete("/services/a/1")
    assert store.get("/services/a/1") is None
    store.delete_prefix("/services/a/")
    assert list(store.prefix("")) == ["/services/ab/1"]


def test_the_shared_node_is_empty_as_each_test_begins(etcd: Cluster) -> None:
    assert etcd.store.prefix("") == {}
    assert etcd.store.leases() == []


def test_leases(etcd: Cluster) -> None:
    store = etcd.store
    lease = store.grant(60)
    store.put("/services/a/1", "{}", lease)
    assert store.leases() == [lease]
    entry = store.get("/services/a/1")
    assert entry is not None
    assert entry.lease == lease
    assert store.lease(lease).keys == ("/services/a/1",)
    assert store.lease(lease).granted == 60
    store.revoke(lease)
    assert store.get("/services/a/1") is None
    assert store.lease(lease).ttl == -1
    assert store.grant(60, lease) == lease


def test_compacted_revisions_are_gone(etcd: Cluster) -> None:
    first = etcd.store.put("a", "1")
    etcd.store.put("a", "2")
    etcd.store.compact()
    with pytest.raises(Refused, match="compacted"):
        etcd.store.call("kv/range", {"key": "YQ==", "revision": str(first)})


def test_calls_are_counted(etcd: Cluster) -> None:
    before = etcd.calls("Txn")
    etcd.store.put("a", "1")
    assert etcd.calls("Txn") == before + 1
    assert etcd.members[0].metrics()["etcd_server_has_leader"] == 1


def test_a_full_database_refuses_until_it_is_cleaned(new_cluster: NewCluster) -> None:
    cluster = new_cluster(options=Options(quota=2**21, max_request_bytes=2**20, flags=QUICK))
    store = cluster.store
    with pytest.raises(Refused, match="request is too large"):
        store.put("big", bytes(2**20 + 1))
    with pytest.raises(Refused, match="database space exceeded"):
        for _ in range(100):  # the size is looked at ten times a second
            store.put("big", bytes(2**19))
    assert store.alarms() == ["NOSPACE"]
    assert cluster.members[0].healthy, "an alarm is not an outage"
    store.delete("big")
    store.compact()
    store.defragment()
    store.disarm()
    assert store.alarms() == []
    store.put("small", "1")
