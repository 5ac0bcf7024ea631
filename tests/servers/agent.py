"""One agent of a Consul, server or client: its ports, its data, its process, its health."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import acl, binaries
from .api import Api
from .catalog import Catalog
from .local import Local
from .process import Process
from .web import Refused, Unreachable

if TYPE_CHECKING:
    from .certificates import Certificates

START_DEADLINE = 45.0
LEAVE_DEADLINE = 20.0
#: HTTP or HTTPS, DNS, RPC of servers, and gossip in the datacenter and between datacenters.
PORTS = 5
LOOPBACK = "127.0.0.1"
# Where a server listens whose RPC goes through a proxy, and the address of that proxy, which is also the one that the
# server gossips at: agents know of one address for both.
BEHIND, BEFORE = "127.0.0.2", "127.0.0.3"


@dataclass(frozen=True)
class AgentOptions:
    """What all agents of a Consul are started with."""

    version: binaries.Version = "new"
    certificates: Certificates | None = None
    """Programs come by TLS. Agents talk to each other without."""
    client_certificates: bool = False
    """Nobody without one of the test CA gets in."""
    acl: bool = False
    """Nobody without a token may anything; `Consul.tokens` has some, `Consul.acl` makes more."""
    http_max_conns_per_client: int | None = None
    """Connections from one address, above which it says 429 and closes, 1.8 without a word. Consul's default is 200."""
    config: Mapping[str, object] = field(default_factory=dict)
    """Anything else that Consul's configuration takes, over what the fixture says; tables are merged."""


class Agent:
    """Made and started by `Consul`."""

    def __init__(
        self,
        name: str,
        datacenter: str,
        ports: Sequence[int],
        folder: Path,
        options: AgentOptions,
        *,
        server: bool,
        rpc_proxied: bool = False,
    ) -> None:
        http, dns, self._rpc, self._lan, self._wan = ports
        self.name = name
        """Of its node."""
        self.datacenter = datacenter
        self.server = server
        self.endpoint = f"{LOOPBACK}:{http}"
        self.dns = f"{LOOPBACK}:{dns}"
        """Both UDP and TCP."""
        self.data = folder / name
        self._listens, self.address = (BEHIND, BEFORE) if rpc_proxied else (LOOPBACK, LOOPBACK)
        self._folder = folder
        self._options = options
        self._process: Process | None = None
        # Kept when the data is wiped: a node that comes back with another id is somebody else of the same name, whom
        # Consul keeps out for minutes.
        self.node_id = str(uuid.uuid4())

    # --- Where it is --------------------------------------------------------------------------------------------

    @property
    def socket(self) -> Path | None:
        """Its HTTP interface as a Unix socket; none with TLS."""
        return None if self._options.certificates else self._folder / f"{self.name}.sock"

    @property
    def rpc(self) -> str:
        """host:port where a server listens for other agents."""
        return f"{self._listens}:{self._rpc}"

    @property
    def rpc_advertised(self) -> str:
        """host:port where other agents ask it; where its proxy belongs, if there is one."""
        return f"{self.address}:{self._rpc}"

    @property
    def gossip(self) -> str:
        return f"{self.address}:{self._lan}"

    @property
    def gossip_wan(self) -> str:
        return f"{self.address}:{self._wan}"

    def api(self, token: str | None = None) -> Api:
        """As whom; as one who may everything when None, as nobody when empty."""
        certificates = self._options.certificates
        if token is None and self._options.acl:
            token = acl.ROOT
        return Api(self.endpoint, certificates.context() if certificates else None, token or None)

    @property
    def local(self) -> Local:
        """What it knows of itself."""
        return Local(self.api())

    @property
    def catalog(self) -> Catalog:
        """What it says of all."""
        return Catalog(lambda: [self.api()])

    # --- Life ---------------------------------------------------------------------------------------------------

    def form(self, agents: Sequence[Agent]) -> None:
        """Which others there are; before its first start."""
        file = self._folder / f"{self.name}.json"
        file.write_text(json.dumps(_merged(self._config(agents), self._options.config), indent=2))
        command = [binaries.consul(self._options.version), "agent", f"-config-file={file}"]
        self._process = Process(f"consul {self.name}", command, self._folder / f"{self.name}.log")

    @property
    def process(self) -> Process:
        assert self._process is not None, "a Consul forms its agents before they start"
        return self._process

    def start(self, *, wait: bool = True) -> None:
        """On the same ports, with the data that is there. Without a leader it can't become healthy: don't wait."""
        self.process.start()
        if wait:
            self.wait_healthy()

    def stop(self) -> None:
        """SIGTERM. It doesn't leave: the others find it failed."""
        self.process.stop()

    def leave(self) -> None:
        """It says farewell and ends: the others know that it left, not failed. Takes some 4 s. Its node goes from the
        catalog; when it registered something just before, what it says on its way out may stay there for a minute.
        """
        self.api().call("PUT", "agent/leave", timeout=LEAVE_DEADLINE)
        until = time.monotonic() + LEAVE_DEADLINE
        while self.process.running:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.name} left and did not end")
            time.sleep(0.01)

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

    def wipe(self) -> None:
        """Kill it, and start it as the same node with nothing registered. A lone server forgets all (see
        `Consul.wipe`).
        """
        self.kill()
        self.forget()
        self.start()

    # --- State --------------------------------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Worth asking: neither stopped nor paused."""
        return self.process.running and not self.process.paused

    @property
    def healthy(self) -> bool:
        """It reaches a leader, who finds it alive."""
        try:
            checks = self.api().call("GET", f"health/node/{self.name}", timeout=2, consistent=True)
            alive = any(c["CheckID"] == "serfHealth" and c["Status"] == "passing" for c in checks)
            # Not another one of that name, to which its port belongs.
            node = self.api().call("GET", f"catalog/node/{self.name}", timeout=2) if alive else None
        except (Unreachable, Refused):
            return False
        return node is not None and node["Node"]["ID"] == self.node_id

    def wait_healthy(self, deadline: float = START_DEADLINE) -> None:
        until = time.monotonic() + deadline
        while not self.healthy:
            if not self.process.running:
                raise self.process.start_failed("ended")
            if time.monotonic() > until:
                raise self.process.start_failed(f"was not healthy within {deadline:g} s")
            time.sleep(0.02)

    # --- Steps --------------------------------------------------------------------------------------------------

    def _config(self, agents: Sequence[Agent]) -> dict[str, Any]:
        servers = [agent for agent in agents if agent.server and agent.datacenter == self.datacenter]
        config: dict[str, Any] = {
            "node_name": self.name,
            "node_id": self.node_id,
            "datacenter": self.datacenter,
            "data_dir": str(self.data),
            "client_addr": LOOPBACK,
            "bind_addr": self._listens,
            "serf_lan": self.address,
            "serf_wan": self.address,
            "advertise_addr": self.address,
            "ports": self._ports(),
            # Clients too: a wiped server has nobody else to ask.
            "retry_join": [
                agent.gossip for agent in agents if agent is not self and agent.datacenter == self.datacenter
            ],
            "retry_interval": "1s",
            # Elections within 1 to 2 s, the quickest that Consul has.
            "performance": {"raft_multiplier": 1, "leave_drain_time": "0s"},
            # A dead agent is found within 2 to 4 s, half of the default.
            "gossip_lan": {"probe_interval": "500ms", "probe_timeout": "250ms"},
            "gossip_wan": {"probe_interval": "500ms", "probe_timeout": "250ms"},
            "leave_on_terminate": False,
            "connect": {"enabled": False},
            "disable_update_check": True,
            # What a check says is in the catalog at once, not only its status.
            "check_update_interval": "0s",
            "telemetry": {"prometheus_retention_time": "1h", "disable_hostname": True},
            "log_level": "info",
        }
        if self.server:
            config |= {"server": True, "bootstrap_expect": len(servers)}
            # One that was away votes as soon as it is back; else the next one that is away takes the majority with it.
            config["autopilot"] = {"cleanup_dead_servers": False}
            config["retry_join_wan"] = [
                agent.gossip_wan for agent in agents if agent.server and agent is not self
            ]
            config["retry_interval_wan"] = "1s"
        if self.socket is not None:
            config["addresses"] = {"http": f"{LOOPBACK} unix://{self.socket}"}
        if self._options.http_max_conns_per_client is not None:
            config["limits"] = {"http_max_conns_per_client": self._options.http_max_conns_per_client}
        if self._options.acl:
            config |= {"acl": acl.config(), "primary_datacenter": agents[0].datacenter}
        return config | self._tls()

    def _ports(self) -> dict[str, int]:
        http = int(self.endpoint.rpartition(":")[2])
        tls = self._options.certificates is not None
        return {
            "http": -1 if tls else http,
            "https": http if tls else -1,
            "dns": int(self.dns.rpartition(":")[2]),
            "server": self._rpc,
            "serf_lan": self._lan,
            "serf_wan": self._wan,
            "grpc": -1,
        }

    def _tls(self) -> dict[str, Any]:
        certificates = self._options.certificates
        if certificates is None:
            return {}
        # One file with both, so that a rotation is one rename.
        server = str(certificates.server)
        config: dict[str, Any] = {"cert_file": server, "key_file": server}
        if self._options.client_certificates:
            config |= {"ca_file": str(certificates.ca), "verify_incoming_https": True}
        return config


def _merged(config: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
