"""TLS at work: who is shown what, and files that change under a program that runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import callsheet
import pytest
from servers import AgentOptions, Consul
from servers.binaries import Version
from servers.certificates import Certificates
from servers.fixtures import NewConsul
from servers.waiting import until
from shared.seen import Seen, registered, state_of, tagged


def test_a_registration_is_found_over_tls(
    version: Version, certificates: Certificates, new_consul: NewConsul
) -> None:
    options = AgentOptions(version=version, certificates=certificates, client_certificates=True)
    consul = new_consul(options=options)
    with (
        callsheet.connect(consul.url, ttl=1) as one,
        callsheet.connect(consul.url) as other,
        Seen(other) as seen,
    ):
        registration = registered(one, tags=["0"])
        seen.until(tagged("0"))
        registration.update(tags=["1"])
        seen.until(tagged("1"))
        assert state_of(registration) == ("registered", None)
    assert consul.catalog.instances("billing") == []


def test_authorities_may_be_a_folder(with_tls: tuple[Consul, Certificates], tmp_path: Path) -> None:
    consul, certificates = with_tls
    shutil.copy(certificates.unknown_ca, tmp_path / "a.pem")
    shutil.copy(certificates.ca, tmp_path / "b.pem")
    (tmp_path / "README").write_text("no certificate")
    with callsheet.connect(consul.url_of(ca=str(tmp_path))) as client:
        client.ping()
    (tmp_path / "b.pem").unlink()
    with (
        callsheet.connect(consul.url_of(ca=str(tmp_path))) as client,
        pytest.raises(callsheet.Unavailable, match=rf"than those in {tmp_path}: give"),
    ):
        client.ping()
    (tmp_path / "a.pem").unlink()
    with pytest.raises(callsheet.Config, match="no file in it has a certificate"):
        callsheet.connect(consul.url_of(ca=str(tmp_path)))


def test_the_name_in_the_certificate_can_be_another_than_the_host(
    with_tls: tuple[Consul, Certificates],
) -> None:
    consul, _ = with_tls
    consul.rotate("wrong-name")
    with callsheet.connect(consul.url_of(server_name="elsewhere.example")) as client, Seen(client) as seen:
        registered(client, tags=["0"])
        seen.until(tagged("0"))
    consul.rotate()
    by_name = consul.url.replace("127.0.0.1", "localhost")
    with callsheet.connect(by_name) as client:
        client.ping()


def test_a_renewed_client_certificate_is_used_by_the_next_connection(
    with_tls: tuple[Consul, Certificates],
) -> None:
    consul, certificates = with_tls
    with callsheet.connect(consul.url) as client, Seen(client) as seen:
        registration = registered(client, tags=["0"])
        seen.until(tagged("0"))
        certificates.issue_client(days=60)
        consul.rotate(days=60)
        consul.proxies[0].cut()
        # A change that was made on the new connection comes through on the new connection.
        registration.update(tags=["new"])
        seen.until(tagged("new"))
        assert registration.state == "registered"


def test_a_certificate_that_expired_is_refused_until_its_file_is_renewed(
    with_tls: tuple[Consul, Certificates],
) -> None:
    consul, certificates = with_tls
    with callsheet.connect(consul.url) as client, Seen(client) as seen:
        registered(client)
        seen.until(lambda snapshot: len(snapshot) == 1)
        certificates.issue_client("expired")
        consul.proxies[0].cut()
        stale = seen.until(lambda snapshot: snapshot.freshness == "stale")
        assert len(stale) == 1
        until(lambda: reason(client) == "unauthenticated", 25)
        assert f"our certificate {certificates.client_cert} any more, as it has expired" in str(
            client.lookup("billing").last_error
        )
        certificates.issue_client()
        live = seen.until(lambda snapshot: snapshot.freshness == "live")
        assert len(live) == 1


def reason(client: callsheet.Client) -> str | None:
    error = client.lookup("billing").last_error
    return error.code if error else None


def test_an_authority_can_be_replaced(with_tls: tuple[Consul, Certificates], tmp_path: Path) -> None:
    consul, certificates = with_tls
    ca = tmp_path / "authorities.pem"
    shutil.copy(certificates.ca, ca)
    with callsheet.connect(consul.url_of(ca=str(ca))) as client, Seen(client) as seen:
        registration = registered(client, tags=["0"])
        seen.until(tagged("0"))
        # As an authority is replaced: the new one is known everywhere before a server shows it.
        ca.write_bytes(certificates.ca.read_bytes() + certificates.unknown_ca.read_bytes())
        consul.rotate("unknown-ca")
        consul.proxies[0].cut()
        registration.update(tags=["new"])
        seen.until(tagged("new"))
        assert registration.state == "registered"
        shutil.copy(certificates.unknown_ca, ca)
        consul.proxies[0].cut()
        registration.update(tags=["newer"])
        seen.until(tagged("newer"))


def test_without_verification_a_warning_says_so(
    with_tls: tuple[Consul, Certificates], warnings: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    consul, certificates = with_tls
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "false")
    with callsheet.connect(consul.url_of(ca=str(certificates.unknown_ca))) as client:
        client.ping()
        said = "anybody on the network may pass for the registry"
        until(lambda: any(said in it.getMessage() for it in list(warnings.records)))
