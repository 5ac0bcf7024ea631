"""The desk answers tests in other languages, and nothing outlives who started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.waiting import runs, until

SERVERS = Path(__file__).resolve().parents[1]


class Desk:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SERVERS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))

    def ok(self, do: str, **request: Any) -> dict[str, Any]:
        said = self.ask(do, **request)
        assert said.pop("ok"), said
        return said


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    with desk.process:
        desk.process.kill()


def gone(started: dict[str, Any]) -> bool:
    return not Path(started["folder"]).exists() and not any(runs(pid) for pid in started["pids"])


def test_every_verb(desk: Desk) -> None:
    started = desk.ok(
        "start", kind="etcd", client_certificates=True, users=True, proxied=True, auth_token_ttl=300
    )
    name = started["name"]
    assert started["url"].startswith("etcds://app:app@127.0.0.1:")
    for file in ("ca", "unknown_ca", "client_cert", "client_key"):
        assert Path(started[file]).is_file()
    desk.ok("put", name=name, key="/services/a/1", value="{}")
    desk.ok("put", name=name, key="/services/a/2", value64="/w==")
    [first, second] = desk.ok("get", name=name, prefix="/services/a/")["entries"]
    assert (first["key"], first["value"], first["lease"]) == ("/services/a/1", "{}", "0")
    assert second["value64"] == "/w=="
    assert desk.ok("get", name=name, key="/services/b/1")["entries"] == []
    revision = desk.ok("transaction", name=name, puts={"a": "1", "b": "2"}, deletes=["/services/a/2"])[
        "revision"
    ]
    status = desk.ok("status", name=name)
    assert (status["revision"], status["leader"], status["alarms"]) == (revision, 0, [])
    lease = desk.ok("grant", name=name, ttl=60)["lease"]
    desk.ok("put", name=name, key="c", lease=lease)
    assert [(found["lease"], found["keys"]) for found in desk.ok("leases", name=name)["leases"]] == [
        (lease, ["c"])
    ]
    desk.ok("revoke", name=name)
    assert desk.ok("leases", name=name)["leases"] == []
    desk.ok("delete", name=name, key="a")
    desk.ok("compact", name=name)
    desk.ok("defragment", name=name)
    desk.ok("disarm", name=name)
    assert desk.ok("calls", name=name, method="Compact")["calls"] == 1
    assert desk.ok("metrics", name=name)["metrics"]["etcd_server_has_leader"] == 1
    url = desk.ok("url", name=name, user="reader", password="wrong", path="/other", ttl="1s")["url"]
    assert url.startswith("etcds://reader:wrong@")
    assert url.endswith("&ttl=1s")
    desk.ok("certificate", name=name, of="client", kind="expired")
    for fault in ("blackhole", "reset", "cut", "disable"):
        desk.ok(fault, name=name, member=0)
        desk.ok("heal", name=name)
    desk.ok("latency", name=name, seconds=0.1)
    for verb in ("pause", "resume", "stop", "start", "kill", "start", "restart"):
        desk.ok(verb, name=name, member=0)
    desk.ok("wipe", name=name)
    assert desk.ok("get", name=name)["entries"] == []
    pids = desk.ok("status", name=name)["pids"]
    desk.ok("close", name=name)
    assert gone({**started, "pids": pids})


def test_what_it_does_not_know_is_an_answer(desk: Desk) -> None:
    assert "quotas" in desk.ask("start", quotas=1)["error"]
    name = desk.ok("start", version="old")["name"]
    assert "dance" in desk.ask("dance", name=name)["error"]
    assert "proxied" in desk.ask("cut", name=name)["error"]
    assert "tls" in desk.ask("certificate", name=name)["error"]
    desk.ok("put", name=name, key="a", value="1")


@pytest.mark.parametrize("end", ["its stdin closes", "it is killed"])
def test_everything_is_gone_when(end: str, desk: Desk) -> None:
    started = desk.ok("start", proxied=True)
    desk.ok("pause", name=started["name"])
    assert not gone(started)
    if end == "it is killed":
        desk.process.send_signal(signal.SIGKILL)
    else:
        assert desk.process.stdin is not None
        desk.process.stdin.close()
    until(lambda: gone(started), 15)


def test_every_verb_of_consul(desk: Desk) -> None:
    started = desk.ok("start", kind="consul", clients=1, acl=True, proxied=True, rpc_proxied=True)
    name, tokens = started["name"], started["tokens"]
    assert started["url"] == f"consul://{started['endpoints'][0]}?token={tokens['app']}"
    assert started["nodes"] == ["client0", "server0"]
    assert started["endpoints"] != started["direct"]
    desk.ok("register", name=name, service="a", port=80, tags=["x"], check={"TTL": "60s"})
    desk.ok("set_check", name=name, id="service:a", status="passing", note="fine")
    assert desk.ok("services", name=name)["services"]["a"]["Port"] == 80
    assert desk.ok("services", name=name, member=1)["services"] == {}
    assert desk.ok("checks", name=name)["checks"]["service:a"]["Output"] == "fine"
    assert desk.ok("calls", name=name, method="PUT", path="agent/check/update/_")["calls"] == 1

    def instances(**how: Any) -> list[tuple[str, str]]:
        found = desk.ok("instances", name=name, **how)["instances"]
        return [(instance["id"], instance["status"]) for instance in found]

    until(lambda: instances(service="a", passing=True) == [("a", "passing")])
    desk.ok("maintenance", name=name, id="a", reason="painting")
    until(lambda: instances(service="a") == [("a", "maintenance")])
    desk.ok("maintenance", name=name, id="a", on=False)
    desk.ok("deregister_check", name=name, id="service:a")
    desk.ok("deregister", name=name, id="a")
    desk.ok("register_external", name=name, node="n", service="b", port=81, status="warning")
    assert instances(service="b") == [("b", "warning")]
    desk.ok("deregister_external", name=name, node="n")
    desk.ok("register_external", name=name, node="n", service="b", port=81)
    desk.ok("empty", name=name)
    assert instances(service="b") == []
    token = desk.ok("token", name=name, rules='agent_prefix "" { policy = "read" }')["token"]
    asked = {"name": name, "member": 1, "path": "agent/self", "token": token}
    assert desk.ok("call", **asked)["status"] == 200
    desk.ok("change", name=name, token=token, rules="")
    assert desk.ok("call", **asked)["status"] == 403
    desk.ok("revoke", name=name, token=token)
    assert "ACL not found" in desk.ok("call", **asked)["body"]
    desk.ok("restore", name=name, token=token)
    assert "Permission denied" in desk.ok("call", **asked)["body"]
    assert desk.ok("url", name=name, member=1, token="", path="/dc2", ttl="1s")["url"].endswith("/dc2?ttl=1s")
    status = desk.ok("status", name=name)
    assert (status["leader"], status["datacenters"]) == (1, ["dc1"])
    assert status["members"] == {"client0": "alive", "server0": "alive"}
    assert desk.ok("metrics", name=name)["metrics"]
    for fault in ("blackhole", "reset", "cut", "disable"):
        for rpc in (False, True):
            desk.ok(fault, name=name, member=0, rpc=rpc)
            desk.ok("heal", name=name, rpc=rpc)
    for verb in ("pause", "resume", "stop", "start", "kill", "start", "restart", "wipe", "leave", "start"):
        desk.ok(verb, name=name, member=0)
    desk.ok("wait_healthy", name=name)
    desk.ok("wipe", name=name)
    pids = desk.ok("status", name=name)["pids"]
    desk.ok("close", name=name)
    assert gone({**started, "pids": pids})


def test_certificates_of_consul(desk: Desk) -> None:
    started = desk.ok("start", kind="consul", client_certificates=True, version="old")
    assert started["url"].startswith("consuls://")
    for file in ("ca", "unknown_ca", "client_cert", "client_key"):
        assert Path(started[file]).is_file()
    for of in ("server", "client"):
        desk.ok("certificate", name=started["name"], of=of, kind="expired")
    assert "rpc_proxied" in desk.ask("cut", name=started["name"], rpc=True)["error"]
    assert "serves" in desk.ask("start", kind="consul", serves=1)["error"]
