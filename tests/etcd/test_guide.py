"""What docs/etcd.md says runs as it is written: only hosts and files are those of the test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import callsheet
import pytest
from servers import Cluster, Options, binaries
from servers.certificates import Certificates
from servers.fixtures import NewCluster
from shared.seen import registered, state_of

GUIDE = (Path(__file__).parents[2] / "docs" / "etcd.md").read_text(encoding="utf-8")
PASSWORDS = {"ROOT_PASSWORD": "root", "BILLING_PASSWORD": "word/of@billing", "GATEWAY_PASSWORD": "gate"}
HOSTS = "10.0.0.5:2379,10.0.0.6:2379,10.0.0.7:2379"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found


def run(command: list[str], environment: dict[str, str], deadline: float = 30) -> str:
    """Members may hold an election meanwhile, so that what does no harm twice is tried again."""
    end = time.monotonic() + deadline
    while True:
        ran = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ran.returncode == 0:
            return ran.stdout
        assert time.monotonic() < end, ran


@pytest.fixture
def tools(tmp_path: Path) -> str:
    """A PATH on which etcdctl and callsheet are found."""
    script = tmp_path / "callsheet"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m callsheet "$@"\n')
    script.chmod(0o755)
    return f"{tmp_path}:{binaries.etcd().parent}:{os.environ['PATH']}"


def test_the_first_snippet_runs_on_a_plain_etcd(etcd: Cluster) -> None:
    first = blocks("python")[0].replace("127.0.0.1:2379", etcd.endpoints[0])
    assert etcd.endpoints[0] in first
    run([sys.executable, "-c", first], {})
    assert etcd.store.prefix("") == {}


def test_users_roles_and_tls(certificates: Certificates, new_cluster: NewCluster, tools: str) -> None:
    certificates.issue_client(days=90)
    etcd = new_cluster(3, options=Options(certificates=certificates, client_certificates=True))
    here = {
        HOSTS: ",".join(etcd.endpoints),
        "/etc/etcd/ca.pem": str(certificates.ca),
        "/etc/billing/client.pem": str(certificates.client_cert),
        "/etc/billing/client.key": str(certificates.client_key),
    }

    def written(block: str) -> str:
        for there, file in here.items():
            block = block.replace(there, file)
        return block

    environment = {
        "PATH": tools,
        "ETCDCTL_ENDPOINTS": ",".join(f"https://{endpoint}" for endpoint in etcd.endpoints),
        "ETCDCTL_CACERT": str(certificates.ca),
        "ETCDCTL_CERT": str(certificates.client_cert),
        "ETCDCTL_KEY": str(certificates.client_key),
        **PASSWORDS,
    }
    recipe, doctor = blocks("sh")
    run(["bash", "-euo", "pipefail", "-c", recipe], environment, deadline=0)
    etcd.store.login("root", PASSWORDS["ROOT_PASSWORD"])

    snippet = written(blocks("python")[1])
    assert all(file in snippet for file in here.values())
    run([sys.executable, "-c", f"import callsheet\n{snippet}"], environment)
    told = run(["bash", "-c", written(doctor)], {**environment, "ETCDCTL_USER": "root:root"})
    assert "certificates\tclient\t" in told and "ok\taccess\tuser\troot, accepted" in told

    # What each of them may, and no more.
    url = etcd.url_of(etcd.endpoints, user="")
    login = {"username": "billing", "password": PASSWORDS["BILLING_PASSWORD"]}
    with callsheet.connect(url, **login) as billing:
        registration = registered(billing)
        registration.update(tags=["v2"])
        assert state_of(billing.register("other", 81, "10.0.0.1")) == ("refused", "permission_denied")
        assert state_of(billing.register("billing2", 82, "10.0.0.1")) == ("refused", "permission_denied")
        gate = {"username": "gateway", "password": PASSWORDS["GATEWAY_PASSWORD"]}
        with callsheet.connect(url, **gate) as gateway:
            assert gateway.services() == ["billing"]
            assert len(gateway.lookup("billing")) == 1
            refused = gateway.register("billing", 83, "10.0.0.1")
            assert state_of(refused) == ("refused", "permission_denied")
        check_stored(etcd)
    assert etcd.store.prefix("") == {}
    assert etcd.store.leases() == []


def check_stored(etcd: Cluster) -> None:
    """As the guide shows it."""
    [(key, entry)] = etcd.store.prefix("/services/").items()
    assert key == "/services/billing/10.0.0.1:80" and entry.lease
    [shown] = blocks("json")
    assert list(json.loads(shown)) == list(json.loads(entry.value))
    assert all(
        type(value) is type(json.loads(entry.value)[name]) for name, value in json.loads(shown).items()
    )
