"""Checks and statuses: which the agent runs, which are renewed, and what a person sets by hand."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from concurrent import futures

import callsheet
import grpc  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from servers import Consul
from servers.waiting import until
from shared.seen import Seen, registered, state_of

HOST = "127.0.0.1"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def statuses(snapshot: callsheet.Snapshot) -> list[str]:
    return [one.status for one in snapshot]


def until_status(seen: Seen, status: str) -> None:
    seen.until(lambda snapshot: statuses(snapshot) == [status])


# --- What the agent runs --------------------------------------------------------------------------------------------


class Site:
    """A web server that answers /health with a status of the test's choice."""

    def __init__(self) -> None:
        self.status, self.paths = 200, set[str]()
        site = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.paths.add(self.path)
                self.send_response(site.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Answers)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_an_http_check_is_run_by_the_agent(either: Consul) -> None:
    with Site() as site, callsheet.connect(either.url) as client, Seen(client) as seen:
        check = callsheet.http("/health", interval=0.2, timeout=1)
        registration = client.register("billing", site.port, HOST, check=check)
        until_status(seen, "passing")
        assert site.paths == {"/health"}
        site.status = 500
        until_status(seen, "critical")
        check_there = either.agent.local.checks()[f"callsheet:{registration.id}"]
        assert check_there["Type"] == "http" and "500" in check_there["Output"]
        site.status = 204
        until_status(seen, "passing")
        assert state_of(registration) == ("registered", None)


def test_a_tcp_check_is_run_by_the_agent(either: Consul) -> None:
    with socket.create_server((HOST, 0)) as server, callsheet.connect(either.url) as client:
        port = server.getsockname()[1]
        own = callsheet.tcp(interval=0.2, timeout=1)
        other = callsheet.tcp(interval=0.2, timeout=1, address=HOST, port=port)
        with Seen(client) as seen:
            first = client.register("billing", port, HOST, check=own)
            second = client.register("billing", 80, "10.0.0.1", check=other)
            seen.until(lambda snapshot: statuses(snapshot) == ["passing", "passing"])
            kinds = {check["Type"] for check in either.agent.local.checks().values()}
            assert kinds == {"tcp"}
            server.close()
            seen.until(lambda snapshot: statuses(snapshot) == ["critical", "critical"])
            assert (first.state, second.state) == ("registered", "registered")


@contextlib.contextmanager
def speaking_grpc() -> Iterator[tuple[int, health.HealthServicer]]:
    servicer = health.HealthServicer()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{HOST}:0")
    server.start()
    yield port, servicer
    server.stop(None)


def test_a_grpc_check_is_run_by_the_agent(either: Consul) -> None:
    with speaking_grpc() as (port, servicer), callsheet.connect(either.url) as client, Seen(client) as seen:
        servicer.set("", SERVING)
        servicer.set("billing.v1", NOT_SERVING)
        whole = callsheet.grpc(interval=0.2, timeout=1)
        part = callsheet.grpc("/billing.v1", interval=0.2, timeout=1)
        client.register("billing", port, HOST, check=whole, id="a whole")
        client.register("billing", port, HOST, check=part, id="part")
        seen.until(lambda snapshot: statuses(snapshot) == ["passing", "critical"])
        assert {check["Type"] for check in either.agent.local.checks().values()} == {"grpc"}
        servicer.set("billing.v1", SERVING)
        seen.until(lambda snapshot: statuses(snapshot) == ["passing", "passing"])
        servicer.set("", NOT_SERVING)
        seen.until(lambda snapshot: statuses(snapshot) == ["critical", "passing"])


# --- What is renewed ------------------------------------------------------------------------------------------------


def test_a_heartbeat_that_stops_is_critical_until_it_goes_on(either: Consul) -> None:
    with callsheet.connect(either.url) as client, Seen(client) as seen:
        registration = registered(client, check=callsheet.heartbeat(1))
        until_status(seen, "passing")
        until_status(seen, "critical")
        [check] = either.agent.local.checks().values()
        assert check["Type"] == "ttl" and check["Output"] == "no beat() for 1s"
        registration.beat()
        until_status(seen, "passing")
        assert state_of(registration) == ("registered", None)


def test_how_long_what_is_critical_may_stay(either: Consul) -> None:
    minute = 60
    wanted = {
        81: (callsheet.ttl(), minute),
        82: (callsheet.ttl(deregister_critical_after=90), 90),
        83: (callsheet.heartbeat(5), 10 * minute),
        84: (callsheet.tcp(), 10 * minute),
        85: (callsheet.http("/health", deregister_critical_after=3600), 3600),
        86: (callsheet.grpc(deregister_critical_after=minute), minute),
    }
    with callsheet.connect(either.url) as client:
        for port, (check, _) in wanted.items():
            registered(client, port, check=check)
        # The agent shows it nowhere, but keeps it on its disk.
        kept = [
            json.loads(file.read_text())
            for file in (either.agent.data / "checks").iterdir()
            if file.is_file()
        ]
        found = {
            int(check["Check"]["ServiceID"].rpartition(":")[2]): check["ChkType"][
                "DeregisterCriticalServiceAfter"
            ]
            for check in kept
        }
        assert found == {port: after * 1_000_000_000 for port, (_, after) in wanted.items()}


# --- What is set by hand --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ttl", "http"])
def test_a_status_set_by_hand(kind: str, either: Consul) -> None:
    with Site() as site, callsheet.connect(either.url, ttl=1) as client, Seen(client) as seen:
        check = callsheet.ttl() if kind == "ttl" else callsheet.http("/health", interval=0.2)
        registration = client.register("billing", site.port, HOST, check=check)
        until_status(seen, "passing")
        for status in ("warning", "critical", "warning"):
            registration.set_status(status, f"because {status}")
            until_status(seen, status)
            assert f"because {status}" in [it["Output"] for it in either.agent.local.checks().values()]
        # It stays, as it is renewed.
        registration.update(tags=["new"])
        seen.until(lambda snapshot: [(one.status, one.tags) for one in snapshot] == [("warning", ("new",))])
        if kind == "http":
            # The check wins over a better word.
            site.status = 500
            until_status(seen, "critical")
            site.status = 200
            until_status(seen, "warning")
        registration.set_status("passing")
        until_status(seen, "passing")
        assert len(either.agent.local.checks()) == 1
        assert state_of(registration) == ("registered", None)


def maintained(consul: Consul) -> list[str]:
    return [check["Notes"] for id, check in consul.agent.local.checks().items() if "maintenance" in id]


@pytest.mark.parametrize("kind", ["ttl", "http"])
def test_draining_is_maintenance_and_back(kind: str, either: Consul) -> None:
    with Site() as site, callsheet.connect(either.url, ttl=1) as client, Seen(client) as seen:
        check = callsheet.ttl() if kind == "ttl" else callsheet.http("/health", interval=0.2)
        registration = client.register("billing", site.port, HOST, check=check)
        until_status(seen, "passing")
        registration.drain()
        until_status(seen, "draining")
        assert len(client.lookup("billing")) == 0
        assert len(client.lookup("billing", healthy=False)) == 1
        assert maintained(either) == ["callsheet: draining"]
        assert either.catalog.ids("billing", passing=True) == []
        registration.update(tags=["new"])
        seen.until(lambda snapshot: [(one.status, one.tags) for one in snapshot] == [("draining", ("new",))])
        registration.set_status("passing")
        until_status(seen, "passing")
        assert maintained(either) == []
        registration.set_status("draining", "the disk is changed")
        until_status(seen, "draining")
        assert maintained(either) == ["callsheet: the disk is changed"]
        assert state_of(registration) == ("registered", None)
    until(lambda: either.agent.local.checks() == {})


def test_an_operators_maintenance_is_theirs_to_end(either: Consul) -> None:
    local = either.agent.local
    with callsheet.connect(either.url, ttl=1) as client, Seen(client) as seen:
        registration = registered(client)
        until_status(seen, "passing")
        local.maintenance(registration.id, reason="new kernel")
        until_status(seen, "draining")
        registration.set_status("warning", "odd")
        registration.set_status("passing")
        registration.update(tags=["new"])
        seen.until(lambda snapshot: [(one.status, one.tags) for one in snapshot] == [("draining", ("new",))])
        assert maintained(either) == ["new kernel"]
        local.maintenance(registration.id, on=False)
        until_status(seen, "passing")


def test_an_operators_maintenance_outlives_a_program_that_restarts(either: Consul) -> None:
    local = either.agent.local
    with callsheet.connect(either.url) as one, callsheet.connect(either.url) as other, Seen(one) as seen:
        registration = registered(one)
        local.maintenance(registration.id, reason="new kernel")
        until_status(seen, "draining")
        registered(other, tags=["new"])
        seen.until(lambda snapshot: [(one.status, one.tags) for one in snapshot] == [("draining", ("new",))])
        assert maintained(either) == ["new kernel"]
        local.maintenance(registration.id, on=False)
        until_status(seen, "passing")


def test_a_drain_ends_with_the_program_that_drained(either: Consul) -> None:
    with callsheet.connect(either.url) as one, callsheet.connect(either.url) as other, Seen(one) as seen:
        registered(one).drain()
        until_status(seen, "draining")
        # Whoever takes the id over is a new process of the same instance, and well.
        registered(other, tags=["new"])
        seen.until(lambda snapshot: [(one.status, one.tags) for one in snapshot] == [("passing", ("new",))])
        assert maintained(either) == []
