"""`callsheet doctor` on etcds that are well, that are sick, and that are not there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from servers import Cluster, Options, Refused
from servers.certificates import Certificates
from servers.fixtures import NewCluster
from shared.doctor import Report


def test_a_cluster_that_is_well(certificates: Certificates, new_cluster: NewCluster) -> None:
    certificates.issue_server(days=90.5)
    certificates.issue_client(days=60.5)
    etcd = new_cluster(3, options=Options(certificates=certificates, client_certificates=True), users=True)
    revision = etcd.store.revision()
    report = Report.when(etcd.url, wrong=set(), note=set())
    assert (report.exit, report.verdict) == (0, "all is well")
    for member, endpoint in enumerate(etcd.endpoints):
        role = "the leader" if member == etcd.leader else "a follower"
        assert report[f"endpoints/{endpoint}"].value.startswith(f"m{member}, {role}, etcd 3.7.")
        assert " ms (median of 5)" in report[f"endpoints/{endpoint}"].value
    names = [f"m{at} (leader)" if at == etcd.leader else f"m{at}" for at in range(3)]
    assert report["cluster/members"].value == f"3: {', '.join(names)}"
    assert report["cluster/alarms"].value == "none"
    assert report["cluster/database"].value.endswith("in use; the quota is 2.0 GiB")
    assert report["access/user"].value == "app, accepted"
    assert report["access/reading"].value == "/services/ may be read, 0 keys"
    assert report["access/writing"].value == "/services/ may be written"
    assert report["certificates/client"].value == f"60 days left: {certificates.client_cert}"
    assert report["certificates/server"].value.startswith(
        "90 days left: the first to expire is that of 127.0.0.1:"
    )
    assert report["certificates/ca"].value.endswith(f" days left: {certificates.ca}")
    # It looks and leaves nothing behind, not even a revision.
    assert etcd.store.revision() == revision
    assert etcd.store.leases() == []
    assert "app:app" not in report.text


def test_a_cluster_that_is_sick(certificates: Certificates, new_cluster: NewCluster) -> None:
    certificates.issue_server(days=5.5)
    certificates.issue_client(days=1.2)
    etcd = new_cluster(3, options=Options(certificates=certificates, client_certificates=True), users=True)
    etcd.members[1].kill()
    dead = f"endpoints/{etcd.endpoints[1]}"
    report = Report.when(etcd.url, wrong={dead}, note={"certificates/client", "certificates/server"})
    assert (report.exit, report.verdict) == (1, "one thing is wrong")
    assert report[dead].value.startswith("can't connect: nothing listens there")
    assert (
        report[dead].remedy
        == "others are used meanwhile: mend it before they fail, or take it out of the URL"
    )
    assert report["certificates/client"].value.startswith("28 hours left: ")
    assert report["certificates/server"].value.startswith("5 days left: ")

    etcd.members[2].kill()
    certificates.issue_client("expired")
    all_of_them = {f"endpoints/{endpoint}" for endpoint in etcd.endpoints}
    wrong = {"registry/answers", "certificates/client", *all_of_them}
    report = Report.when(etcd.url, wrong=wrong, note=set())
    assert report.exit == 1
    assert "it has expired: renew it" in report[f"endpoints/{etcd.endpoints[0]}"].value
    assert report["certificates/client"].value == f"expired 24 hours ago: {certificates.client_cert}"


def test_a_cluster_that_is_down(new_cluster: NewCluster) -> None:
    etcd = new_cluster(3, proxied=True)
    etcd.members[0].kill()
    etcd.members[1].kill()
    etcd.proxies[2].blackhole()
    report = Report(f"{etcd.url}?timeout=2s")
    assert (report.exit, report.verdict) == (69, "the registry can't be reached")
    assert report.took < 10
    for endpoint, why in zip(
        etcd.endpoints, ("before it said", "before it said", "gave no answer"), strict=True
    ):
        found = report[f"endpoints/{endpoint}"]
        assert why in found.value
        assert found.remedy == "until one of them is mended, nothing can be looked up or registered"


def test_what_a_user_may_not(with_users: Cluster) -> None:
    at = with_users.endpoints
    report = Report.when(with_users.url_of(at, user="reader"), wrong=set(), note={"access/writing"})
    assert report.exit == 0
    assert 'user "reader" has no permission' in report["access/writing"].value
    assert "ROLE readwrite /services/`" in report["access/writing"].value
    wrong = {"registry/answers", "access/reading"}
    report = Report.when(with_users.url_of(at, user="none"), wrong=wrong, note={"access/writing"})
    assert report.exit == 1
    assert "ROLE read /services/`" in report["access/reading"].value
    wrong = {"registry/answers", f"endpoints/{at[0]}"}
    report = Report.when(with_users.url_of(at, user=""), wrong=wrong, note=set())
    assert "give username and password" in report["registry/answers"].value


def test_a_full_database(new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(quota=2_000_000))
    with pytest.raises(Refused, match="database space exceeded"):
        for number in range(1000):
            etcd.store.put(f"/other/{number}", b"x" * 10_000)
    wrong = {"cluster/alarms", "access/writing"}
    report = Report.when(etcd.url, wrong=wrong, note={"cluster/database"})
    assert report.exit == 1
    assert report["cluster/alarms"].value == "NOSPACE at m0"
    assert "`etcdctl alarm disarm`" in (report["cluster/alarms"].remedy or "")
    assert "alarm NOSPACE" in report["access/writing"].value
    assert report["cluster/database"].value.endswith("the quota is 1.9 MiB")


def test_an_old_one_whose_url_is_incomplete(new_cluster: NewCluster) -> None:
    etcd = new_cluster(3, options=Options(version="old"))
    url = etcd.url_of(etcd.endpoints[:1], user="app")
    report = Report.when(url, wrong=set(), note={"cluster/members", "access/user"})
    assert report.exit == 0
    assert report["cluster/members"].remedy == (
        "name all of them in the URL, so that any may fail, unless a load balancer stands before them (it names 1)"
    )
    assert "etcd has authentication off" in report["access/user"].value
    assert report["cluster/database"].value.endswith("etcd 3.4.13 does not tell its quota")


def test_endpoints_of_two_clusters(new_cluster: NewCluster) -> None:
    one, other = new_cluster(), new_cluster()
    url = f"etcd://{one.endpoints[0]},{other.endpoints[0]}"
    report = Report.when(url, wrong={"cluster/id"}, note=set())
    assert report.exit == 1
    assert (
        report["cluster/id"].remedy == "name the endpoints of one cluster: each of these has other instances"
    )


def test_in_a_pipe_each_finding_is_a_line(new_cluster: NewCluster) -> None:
    etcd = new_cluster()
    command = [
        sys.executable,
        "-m",
        "callsheet",
        "doctor",
        "--registry",
        etcd.url_of(etcd.endpoints, user="app"),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    [note] = [line for line in lines if line[0] == "note"]
    assert note[1:3] == ["access", "user"] and note[4].startswith("turn it on with `etcdctl auth enable`")
    assert lines[-1] == ["ok", "verdict", "-", "all is well", "-"]
