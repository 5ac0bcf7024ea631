"""What docs/consul.md says runs as it is written: only hosts and files are those of the test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import callsheet
import pytest
from servers import AgentOptions, Consul, binaries
from servers.binaries import Version
from servers.certificates import Certificates
from servers.fixtures import NewConsul
from shared.seen import registered, state_of

GUIDE = (Path(__file__).parents[2] / "docs" / "consul.md").read_text(encoding="utf-8")
TOKENS = {
    "BILLING_TOKEN": "b1111111-0000-4000-8000-000000000001",
    "GATEWAY_TOKEN": "9a7e3a77-0000-4000-8000-000000000002",
}


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found


def run(command: list[str], environment: dict[str, str], deadline: float = 30) -> str:
    """Rights take a moment to be known everywhere, so that what does no harm twice is tried again."""
    end = time.monotonic() + deadline
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    while True:
        ran = subprocess.run(
            command, env={**clean, **environment}, capture_output=True, text=True, timeout=60, check=False
        )
        if ran.returncode == 0:
            return ran.stdout
        assert time.monotonic() < end, ran


@pytest.fixture
def tools(tmp_path: Path, version: Version) -> str:
    """A PATH on which consul and callsheet are found."""
    script = tmp_path / "callsheet"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m callsheet "$@"\n')
    script.chmod(0o755)
    return f"{tmp_path}:{binaries.consul(version).parent}:{os.environ['PATH']}"


def test_the_first_snippet_runs_on_a_plain_consul(either: Consul) -> None:
    first = blocks("python")[0].replace("127.0.0.1:8500", either.agent.endpoint)
    assert either.agent.endpoint in first
    run([sys.executable, "-c", first], {})
    assert either.catalog.instances("billing") == []


def test_tokens_and_tls(
    version: Version, certificates: Certificates, new_consul: NewConsul, tools: str, tmp_path: Path
) -> None:
    certificates.issue_client(days=90)
    options = AgentOptions(version=version, acl=True, certificates=certificates, client_certificates=True)
    consul = new_consul(options=options)
    secret = tmp_path / "token"
    secret.write_text(TOKENS["BILLING_TOKEN"])
    here = {
        "10.0.0.5:8501": consul.agent.endpoint,
        "/etc/consul/ca.pem": str(certificates.ca),
        "/etc/billing/client.pem": str(certificates.client_cert),
        "/etc/billing/client.key": str(certificates.client_key),
        "/run/secrets/consul-token": str(secret),
    }

    def written(block: str) -> str:
        for there, file in here.items():
            block = block.replace(there, file)
        return block

    environment = {
        "PATH": tools,
        "CONSUL_HTTP_ADDR": f"https://{consul.agent.endpoint}",
        "CONSUL_CACERT": str(certificates.ca),
        "CONSUL_CLIENT_CERT": str(certificates.client_cert),
        "CONSUL_CLIENT_KEY": str(certificates.client_key),
        "CONSUL_HTTP_TOKEN": consul.tokens["root"],
        **TOKENS,
    }
    recipe, doctor = blocks("sh")
    run(["bash", "-euo", "pipefail", "-c", recipe], environment, deadline=0)
    snippet = written(blocks("python")[1])
    assert all(file in snippet for file in here.values())
    run([sys.executable, "-c", f"import callsheet\n{snippet}"], {"PATH": tools})
    told = run(["bash", "-c", written(doctor)], environment)
    assert "ok\trights\tregister\tallowed" in told and "certificates\tclient\t" in told

    # What each of them may, and no more.
    with callsheet.connect(consul.url_of(token=TOKENS["BILLING_TOKEN"])) as billing:
        registration = registered(billing)
        registration.update(tags=["v2"])
        for other in ("other", "billing2"):
            assert state_of(billing.register(other, 81, "10.0.0.1")) == ("refused", "permission_denied")
        with callsheet.connect(consul.url_of(token=TOKENS["GATEWAY_TOKEN"])) as gateway:
            assert len(gateway.wait_for("billing", timeout=10)) == 1
            assert gateway.services() == ["billing", "consul"]
            refused = gateway.register("billing", 83, "10.0.0.1")
            assert state_of(refused) == ("refused", "permission_denied")
            shown = re.search(r"^can't register (.|\n)*?$(?=\n```)", GUIDE, re.MULTILINE)
            assert shown
            words = shown.group().split(" in consul://127.0.0.1:8500: ")[1].replace("\n", " ")
            assert words.split(" (")[0] in str(refused.last_error)
    assert consul.catalog.instances("billing") == []


def test_each_field_stands_in_the_guide(consul: Consul) -> None:
    with callsheet.connect(consul.url) as client:
        more = {"scheme": "grpc", "zone": "z", "version": "1", "metadata": {"a.b": "c"}, "id": "50%"}
        client.register("billing", 80, "10.0.0.1", check=callsheet.tcp(), **more).set_status("warning")  # type: ignore[arg-type]
        client.wait_for("billing", timeout=10, healthy=False)
        [found] = consul.catalog.instances("billing")
        for key in found.meta:
            assert f"`{key}`" in GUIDE or key.startswith("callsheet-key-"), key
        for check in consul.agent.local.checks():
            assert f"`{check.replace(found.id, '{id}')}`" in GUIDE, check
