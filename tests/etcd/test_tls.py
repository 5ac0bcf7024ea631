"""TLS at work: who is shown what, and files that change under a program that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import callsheet
import pytest
from servers import Cluster, Options
from servers.certificates import Certificates
from servers.fixtures import NewCluster
from servers.waiting import until
from shared.seen import Seen, registered, tagged


@pytest.mark.parametrize("version", ["new", "old"])
def test_a_registration_is_found_over_tls(
    version: str, certificates: Certificates, new_cluster: NewCluster
) -> None:
    options = Options(version=version, certificates=certificates, client_certificates=True)  # type: ignore[arg-type]
    etcd = new_cluster(options=options)
    with callsheet.connect(etcd.url) as one, callsheet.connect(etcd.url) as other:
        registered(one)
        assert [instance.port for instance in other.lookup("billing")] == [80]
    assert etcd.store.prefix("/services/") == {}


def test_the_name_in_the_certificate_can_be_another_than_the_host(
    with_tls: tuple[Cluster, Certificates],
) -> None:
    etcd, certificates = with_tls
    certificates.issue_server("wrong-name")
    with callsheet.connect(etcd.url_of(etcd.endpoints, server_name="elsewhere.example")) as client:
        client.ping()
    certificates.issue_server()
    by_name = [f"localhost:{endpoint.rsplit(':', 1)[1]}" for endpoint in etcd.endpoints]
    with callsheet.connect(etcd.url_of(by_name)) as client:
        client.ping()


def test_a_renewed_client_certificate_is_used_by_the_next_connection(
    with_tls: tuple[Cluster, Certificates],
) -> None:
    etcd, certificates = with_tls
    with callsheet.connect(etcd.url) as client, Seen(client) as seen:
        registration = registered(client)
        seen.until(lambda snapshot: len(snapshot) == 1)
        # What is open stays so: certificates are looked at in the handshake only.
        certificates.issue_client("expired")
        past_the_proxy = etcd.url_of([etcd.members[0].endpoint])
        expired = pytest.raises(callsheet.Unauthenticated, match="has expired")
        with callsheet.connect(past_the_proxy) as late, expired:
            late.ping()
        client.ping()
        certificates.issue_client()
        certificates.issue_server(days=60)
        seen.clear()
        etcd.proxies[0].cut()
        # A change that was made on the new connection comes through on the new connection.
        registration.update(tags=["new"])
        seen.until(tagged("new"))
        assert registration.state == "registered"


def test_a_certificate_that_expired_is_refused_until_its_file_is_renewed(
    with_tls: tuple[Cluster, Certificates],
) -> None:
    etcd, certificates = with_tls
    with callsheet.connect(etcd.url_of([etcd.members[0].endpoint])) as client, Seen(client) as seen:
        registered(client)
        seen.until(lambda snapshot: len(snapshot) == 1)
        certificates.issue_client("expired")
        etcd.members[0].restart()
        stale = seen.until(lambda snapshot: snapshot.freshness == "stale")
        assert len(stale) == 1
        until(lambda: reason(client) == "unauthenticated", 25)
        certificates.issue_client()
        live = seen.until(lambda snapshot: snapshot.freshness == "live")
        assert len(live) == 1


def reason(client: callsheet.Client) -> str | None:
    error = client.lookup("billing").last_error
    return error.code if error else None


def test_an_authority_can_be_replaced(with_tls: tuple[Cluster, Certificates], tmp_path: Path) -> None:
    etcd, certificates = with_tls
    ca = tmp_path / "authorities.pem"
    shutil.copy(certificates.ca, ca)
    with callsheet.connect(etcd.url_of(etcd.endpoints, ca=str(ca))) as client, Seen(client) as seen:
        registration = registered(client)
        # As an authority is replaced: the new one is known everywhere before a server shows it.
        ca.write_bytes(certificates.ca.read_bytes() + certificates.unknown_ca.read_bytes())
        certificates.issue_server("unknown-ca")
        etcd.proxies[0].cut()
        registration.update(tags=["new"])
        seen.until(tagged("new"))
        assert registration.state == "registered"
        shutil.copy(certificates.unknown_ca, ca)
        etcd.members[0].restart()
        registration.update(tags=["newer"])
        seen.until(tagged("newer"))


def test_insecure_takes_anybody_for_the_server_and_warns_once(
    with_tls: tuple[Cluster, Certificates], warnings: pytest.LogCaptureFixture
) -> None:
    etcd, certificates = with_tls
    unknown = str(certificates.unknown_ca)
    unverified = pytest.raises(callsheet.Unavailable, match="from another authority")
    with callsheet.connect(etcd.url_of(etcd.endpoints, ca=unknown)) as verifying, unverified:
        verifying.ping()
    with callsheet.connect(etcd.url_of(etcd.endpoints, ca=unknown), insecure=True) as client:
        registered(client)
        etcd.proxies[0].cut()
        client.wait_for("billing", timeout=25)
        client.ping()
    said = "anybody on the network may pass for the registry"
    until(lambda: any(said in record.getMessage() for record in list(warnings.records)))
    assert sum(said in record.getMessage() for record in warnings.records) == 1


def test_the_client_certificate_can_name_the_user(
    certificates: Certificates, new_cluster: NewCluster
) -> None:
    etcd = new_cluster(options=Options(certificates=certificates, client_certificates=True), users=True)
    with callsheet.connect(etcd.url_of(etcd.endpoints, user="")) as client:
        registered(client)
        assert len(client.lookup("billing")) == 1
    denied = pytest.raises(callsheet.PermissionDenied, match="whom the client certificate names has no")
    with callsheet.connect(etcd.url_of(etcd.endpoints, user="", path="/other")) as client, denied:
        client.ping()


def test_what_etcdctl_is_told_by_the_environment(certificates: Certificates, new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(certificates=certificates, client_certificates=True), users=True)
    environment = {
        "ETCDCTL_ENDPOINTS": f"https://{etcd.endpoints[0]}",
        "ETCDCTL_CACERT": str(certificates.ca),
        "ETCDCTL_CERT": str(certificates.client_cert),
        "ETCDCTL_KEY": str(certificates.client_key),
        "ETCDCTL_USER": "app:app",
        "CALLSHEET_URL": "etcds://",
    }

    def listed(**changed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "callsheet", "list", "billing"]
        env = {**os.environ, **environment, **changed}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    with callsheet.connect(etcd.url) as client:
        registered(client)
        found = listed()
        assert (found.returncode, found.stderr) == (0, ""), found
        assert "10.0.0.1" in found.stdout
        # Each of them counts.
        for changed, said in (
            ({"ETCDCTL_USER": "none:none"}, 'user "none" has no permission'),
            ({"ETCDCTL_CACERT": str(certificates.unknown_ca)}, "from another authority"),
            ({"ETCDCTL_ENDPOINTS": f"http://{etcd.endpoints[0]}"}, "write etcd://"),
            ({"ETCDCTL_CERT": "/nowhere.pem"}, "cert /nowhere.pem can't be used"),
        ):
            failed = listed(**changed)
            assert failed.returncode != 0 and said in failed.stderr, failed
