"""One member of an etcd cluster: its ports, its data, its process, its health and metrics."""

from __future__ import annotations

import http.client
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from . import binaries
from .process import Process

if TYPE_CHECKING:
    from .certificates import Certificates

START_DEADLINE = 30.0
# The alarm of a full database is something to test, not a member that is down.
HEALTH = "/health?exclude=NOSPACE"
# Flags for elections that take half a second instead of up to two; the shortest lease is then 1 s instead of 2.
QUICK = ("--heartbeat-interval", "50", "--election-timeout", "500")
METRIC = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Options:
    """What all members of a cluster are started with."""

    version: binaries.Version = "new"
    certificates: Certificates | None = None
    """Clients come by TLS. Members talk to each other without."""
    client_certificates: bool = False
    """Nobody without one of the test CA gets in."""
    auth_token: Literal["simple", "jwt"] = "simple"
    auth_token_ttl: int | None = None
    """Seconds; simple tokens live longer when they are used, JWT do not."""
    quota: int | None = None
    """Bytes of the database, above which it takes no more writes."""
    max_request_bytes: int | None = None
    flags: Sequence[str] = field(default=())
    """Anything else that etcd takes."""


class Etcd:
    """Made and started by `Cluster`."""

    def __init__(self, name: str, ports: Sequence[int], folder: Path, options: Options) -> None:
        client, peer, metrics = ports
        self.name = name
        self.endpoint = f"127.0.0.1:{client}"
        self.peer = f"http://127.0.0.1:{peer}"
        self.data = folder / name
        self._metrics = f"127.0.0.1:{metrics}"
        self._folder = folder
        self._options = options
        self._process: Process | None = None

    # --- Life ---------------------------------------------------------------------------------------------------

    def form(self, peers: Sequence[Etcd], token: str) -> None:
        """Which cluster it belongs to; before its first start, and again after its data was removed."""
        scheme = "https" if self._options.certificates else "http"
        command = [
            *(str(binaries.etcd(self._options.version)), "--name", self.name, "--data-dir", str(self.data)),
            *("--listen-client-urls", f"{scheme}://{self.endpoint}"),
            *("--advertise-client-urls", f"{scheme}://{self.endpoint}"),
            *("--listen-peer-urls", self.peer, "--initial-advertise-peer-urls", self.peer),
            *("--listen-metrics-urls", f"http://{self._metrics}"),
            *("--initial-cluster", ",".join(f"{peer.name}={peer.peer}" for peer in peers)),
            *("--initial-cluster-token", token),
            *("--logger", "zap", "--log-level", "warn"),
            *("--bcrypt-cost", "4"),
            *self._flags(),
        ]
        self._process = Process(f"etcd {self.name}", command, self._folder / f"{self.name}.log")

    @property
    def process(self) -> Process:
        assert self._process is not None, "a cluster forms its members before they start"
        return self._process

    def start(self, *, wait: bool = True) -> None:
        """On the same ports, with the data that is there. Without a majority it can't become healthy: don't wait."""
        self.process.start()
        if wait:
            self.wait_healthy()

    def stop(self) -> None:
        """SIGTERM."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nobody answers."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def forget(self) -> None:
        """Remove its data; while it is stopped."""
        shutil.rmtree(self.data, ignore_errors=True)

    # --- State --------------------------------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Worth asking: neither stopped nor paused."""
        return self.process.running and not self.process.paused

    @property
    def healthy(self) -> bool:
        """It has a leader and answers a linearizable read."""
        try:
            return self._get(HEALTH)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def wait_healthy(self, deadline: float = START_DEADLINE) -> None:
        until = time.monotonic() + deadline
        while not self.healthy:
            if not self.process.running:
                raise self.process.start_failed("ended")
            if time.monotonic() > until:
                raise self.process.start_failed(f"was not healthy within {deadline:g} s")
            time.sleep(0.01)

    def metrics(self) -> dict[str, float]:
        """Name with labels as etcd writes them → value, such as
        `grpc_server_handled_total{grpc_code="OK",grpc_method="Put",…}`.
        """
        status, body = self._get("/metrics")
        assert status == 200, body
        return {name: float(value) for name, value in METRIC.findall(body)}

    def calls(self, method: str) -> int:
        """How many requests or streams of a gRPC method were begun: `Authenticate`, `LeaseKeepAlive`, `Watch` …"""
        wanted = f'grpc_method="{method}"'
        started = (
            v for k, v in self.metrics().items() if k.startswith("grpc_server_started_total{") and wanted in k
        )
        return int(sum(started))

    # --- Steps --------------------------------------------------------------------------------------------------

    def _flags(self) -> list[str]:
        options = self._options
        flags = list(options.flags)
        if options.version == "new":
            # 3.4 with it would not even write, and lose everything when it is stopped.
            flags += ["--unsafe-no-fsync"]
        if options.certificates:
            # One file with both, so that a rotation is one rename.
            server = str(options.certificates.server)
            flags += ["--cert-file", server, "--key-file", server]
            flags += (
                ["--trusted-ca-file", str(options.certificates.ca)] if options.client_certificates else []
            )
            flags += ["--client-cert-auth"] if options.client_certificates else []
            if options.version == "new":
                # What its gateway shows to itself; else the server's, which may be a bad one.
                own = str(options.certificates.own)
                flags += ["--client-cert-file", own, "--client-key-file", own]
        if options.auth_token == "jwt":
            flags += ["--auth-token", self._jwt()]
        elif options.auth_token_ttl is not None:
            flags += ["--auth-token-ttl", str(options.auth_token_ttl)]
        if options.quota is not None:
            flags += ["--quota-backend-bytes", str(options.quota)]
        if options.max_request_bytes is not None:
            flags += ["--max-request-bytes", str(options.max_request_bytes)]
        return flags

    def _jwt(self) -> str:
        key = self._folder / "jwt.key"
        if not key.exists():
            key.write_bytes(b"a key that all members of one cluster share")
        ttl = 300 if self._options.auth_token_ttl is None else self._options.auth_token_ttl
        return f"jwt,sign-method=HS256,priv-key={key},ttl={ttl}s"

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._metrics, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
