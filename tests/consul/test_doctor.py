"""`callsheet doctor` on Consuls that are well, that are sick, and that are not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from servers import AgentOptions, Consul
from servers.binaries import Version
from servers.certificates import Certificates
from servers.fixtures import NewConsul
from shared.doctor import Report


def test_a_consul_that_is_well(certificates: Certificates, new_consul: NewConsul) -> None:
    certificates.issue_server(days=90.5)
    certificates.issue_client(days=60.5)
    options = AgentOptions(acl=True, certificates=certificates, client_certificates=True)
    consul = new_consul(3, clients=1, options=options)
    report = Report.when(consul.url, wrong=set(), note=set())
    assert (report.exit, report.verdict) == (0, "all is well")
    assert report["agent/itself"].value == "client client0 in dc1"
    assert report["agent/version"].value.startswith("1.12.")
    assert report["servers/leader"].value == consul.catalog.leader()
    assert report["servers/count"].value == "3"
    assert report["rights/read services"].value == "allowed"
    assert report["rights/read nodes"].value == "allowed"
    assert report["rights/register"].value == "allowed"
    assert report["certificates/client"].value == f"60 days left: {certificates.client_cert}"
    assert report["certificates/server"].value.startswith("90 days left")
    assert report["certificates/ca"].value.endswith(f" days left: {certificates.ca}")
    # It looks and leaves nothing behind.
    assert consul.catalog.services().keys() == {"consul"}
    assert consul.agent.local.services() == consul.agent.local.checks() == {}
    assert consul.tokens["app"] not in report.text


def test_one_server_alone(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version))
    note = {"servers/count"} | ({"agent/version"} if version == "old" else set())
    report = Report.when(consul.url, wrong=set(), note=note)
    assert report.exit == 0
    assert report["agent/itself"].value == "server server0 in dc1"
    assert report["rights/acl"].value == "off: everybody may read and write everything"
    assert report["servers/count"].remedy == (
        "one server alone is down whenever it restarts: run three or five"
    )


def test_what_a_token_may_not(version: Version, new_consul: NewConsul) -> None:
    consul = new_consul(options=AgentOptions(version=version, acl=True))
    lone = {"servers/count"} | ({"agent/version"} if version == "old" else set())
    report = Report.when(consul.url, wrong=set(), note=lone)
    assert report["rights/register"].value == "allowed"

    reader = consul.url_of(token=consul.tokens["reader"])
    report = Report.when(reader, wrong=set(), note=lone | {"rights/register"})
    assert report.exit == 0
    assert report["rights/register"].value == "not allowed for every service"
    assert 'service_prefix "" { policy = "write" }' in (report["rights/register"].remedy or "")

    one = consul.acl.token('service "billing" { policy = "write" } node_prefix "" { policy = "read" }')
    report = Report(consul.url_of(token=one))
    assert {"rights/register", "rights/read services", "agent/itself"} <= report.of("note")

    unknown = "5ec2e7e7-0000-4000-8000-5ec2e75ec2e7"
    report = Report(consul.url_of(token=unknown))
    assert report.exit == 1
    assert "Consul does not know the token" in report["registry/answers"].value
    assert unknown not in report.text

    report = Report(consul.url_of(token=""))
    assert report.exit in (0, 1)
    assert "rights/read services" in report.of("note") | report.of("wrong") or "rights/acl" in report.of(
        "note"
    )


def test_certificates_that_end(with_tls: tuple[Consul, Certificates]) -> None:
    consul, certificates = with_tls
    consul.rotate(days=5.5)
    certificates.issue_client(days=1.2)
    wrong: set[str] = set()
    report = Report.when(
        consul.url, wrong=wrong, note={"servers/count", "certificates/client", "certificates/server"}
    )
    assert report["certificates/client"].value.startswith("28 hours left: ")
    assert report["certificates/server"].value.startswith("5 days left: ")
    certificates.issue_client("expired")
    report = Report(consul.url)
    assert report.exit == 1
    assert "it has expired: renew it" in report["registry/answers"].value
    assert report["certificates/client"].value == f"expired 24 hours ago: {certificates.client_cert}"


def test_without_verification(with_tls: tuple[Consul, Certificates], monkeypatch: pytest.MonkeyPatch) -> None:
    consul, _ = with_tls
    monkeypatch.setenv("CONSUL_HTTP_SSL_VERIFY", "false")
    command = [sys.executable, "-m", "callsheet", "doctor", "--registry", consul.url]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    [line] = [line for line in ran.stdout.splitlines() if "\tverification\t" in line]
    assert line.startswith("wrong\tcertificates\tverification\toff (insecure, or $CONSUL_HTTP_SSL_VERIFY)\t")


def test_a_consul_that_is_down(new_consul: NewConsul, tmp_path: Path) -> None:
    consul = new_consul(3, clients=1, proxied=True)
    for server in consul.servers[1:]:
        server.kill()
    wrong = {"registry/answers", "servers/leader"}
    report = Report.when(f"{consul.url}?timeout=9s", wrong=wrong, note=set())
    assert (report.exit, report.verdict) == (69, "the registry can't be reached")
    assert "leader" in report["registry/answers"].value
    assert report["agent/itself"].value == "client client0 in dc1"

    consul.proxies[0].blackhole()
    report = Report(f"{consul.url}?timeout=1s")
    assert (report.exit, report.verdict) == (69, "the registry can't be reached")
    assert report.took < 10
    assert "no answer within 1s" in report["registry/answers"].value
    consul.proxies[0].heal()
    consul.agent.kill()
    report = Report(f"consul://{consul.agent.endpoint}")
    assert report.exit == 69
    assert "nothing listens there" in report["registry/answers"].value


def test_in_a_pipe_each_finding_is_a_line(consul: Consul) -> None:
    command = [sys.executable, "-m", "callsheet", "doctor", "--registry", consul.url_of(token="nobody-asks")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    [note] = [line for line in lines if line[0] == "note"]
    assert note[1:4] == ["servers", "count", "1"] and note[4].startswith("one server alone is down")
    assert lines[-1] == ["ok", "verdict", "-", "all is well", "-"]
