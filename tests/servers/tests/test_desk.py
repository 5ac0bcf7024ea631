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
