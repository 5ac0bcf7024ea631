"""A Consul of one or more datacenters, each of servers and client agents: started together, hurt one by one, and gone
with its data at the end.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from . import ports
from .acl import Acl
from .agent import PORTS, START_DEADLINE, Agent, AgentOptions
from .catalog import Catalog
from .process import Process, StartFailed
from .proxy import Proxy, Toxiproxy
from .warden import warden
from .web import Refused, Unreachable

if TYPE_CHECKING:
    from .api import Api
    from .certificates import Kind


class Consul:
    """Started and healthy when this returns. `close`, or `with`, ends it. Each datacenter, `dc1` and so on, has so many
    servers (1 or 3) and client agents.

    With `proxied` each agent's HTTP has a proxy in front of it, in `proxies`, and `endpoints` and `url` go through
    those; `catalog` and `Agent.local` never do. With `rpc_proxied` (only on Linux) agents reach a server
    by its proxy in `rpc_proxies`; gossip goes past it, so who is cut off there is still seen alive.
    """

    def __init__(
        self,
        servers: int = 1,
        *,
        clients: int = 0,
        datacenters: int = 1,
        options: AgentOptions | None = None,
        proxied: bool = False,
        rpc_proxied: bool = False,
    ) -> None:
        self.options = options or AgentOptions()
        self.folder = Path(tempfile.mkdtemp(prefix="callsheet-consul-"))
        warden.guard(self.folder)
        self.members: list[Agent] = []
        """The client agents of a datacenter, then its servers. Programs talk to the first."""
        self.proxies: list[Proxy] = []
        """In the order of the members; none unless `proxied`."""
        self.rpc_proxies: list[Proxy] = []
        """In the order of `servers`; none unless `rpc_proxied`."""
        self.catalog = Catalog(self._apis)
        self.acl = Acl(self.catalog)
        self._toxiproxy: Toxiproxy | None = None
        names = [
            (f"dc{dc}", kind, f"{kind}{at}" if dc == 1 else f"dc{dc}-{kind}{at}")
            for dc in range(1, datacenters + 1)
            for kind, count in (("client", clients), ("server", servers))
            for at in range(count)
        ]
        try:
            if proxied or rpc_proxied:
                self._toxiproxy = Toxiproxy([], self.folder)
            self._start_on_free_ports(names, rpc_proxied)
            if proxied and self._toxiproxy:
                self.proxies = [self._toxiproxy.add(member.endpoint) for member in self.members]
            self._add_tokens()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Consul:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        warden.release(self.folder)

    # --- Where it is --------------------------------------------------------------------------------------------

    @property
    def processes(self) -> list[Process]:
        """All that runs for it."""
        proxy = [self._toxiproxy.process] if self._toxiproxy else []
        return [*(member.process for member in self.members), *proxy]

    @property
    def agent(self) -> Agent:
        """The one that programs talk to: the first client agent, or the first server when there is none."""
        return self.members[0]

    @property
    def servers(self) -> list[Agent]:
        return [member for member in self.members if member.server]

    @property
    def clients(self) -> list[Agent]:
        return [member for member in self.members if not member.server]

    @property
    def endpoints(self) -> list[str]:
        """host:port of each member's HTTP, or of the proxy in front of it."""
        return [server.endpoint for server in self.proxies or self.members]

    @property
    def tokens(self) -> dict[str, str]:
        """`root`, `app` (reads all, registers services), `reader`, `none` (may nothing) → secret; {} without ACLs."""
        return dict(self.acl.named) if self.options.acl else {}

    @property
    def url(self) -> str:
        """As callsheet is given it: with the CA, a client certificate and the token of `app` where there are."""
        return self.url_of()

    def url_of(self, member: int = 0, *, token: str | None = None, path: str = "", **query: str) -> str:
        """Of a member, with another token (an empty one is none), `path` a datacenter such as `/dc2`; `query` goes over
        what `url` has.
        """
        options: dict[str, str] = {}
        certificates = self.options.certificates
        if certificates:
            options["ca"] = str(certificates.ca)
            if self.options.client_certificates:
                options |= {"cert": str(certificates.client_cert), "key": str(certificates.client_key)}
        token = self.tokens.get("app", "") if token is None else token
        options |= {"token": token} if token else {}
        options |= query
        asked = f"?{urlencode(options, safe='/')}" if options else ""
        return f"{'consuls' if certificates else 'consul'}://{self.endpoints[member]}{path}{asked}"

    # --- What is done to all; to one by `members[0].kill()` and its like -----------------------------------------

    def start(self) -> None:
        """On the same ports, with the data that is there."""
        for member in self.members:
            member.start(wait=False)
        self.wait_healthy()

    def stop(self) -> None:
        for member in self.members:
            member.stop()

    def kill(self) -> None:
        for member in self.members:
            member.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        for member in self.members:
            member.pause()

    def resume(self) -> None:
        for member in self.members:
            member.resume()

    def wipe(self) -> None:
        """Stop, lose all data, start on the same ports: indexes begin again. The tokens are the same."""
        self.kill()
        for member in self.members:
            member.forget()
        self.start()
        self._add_tokens()

    def empty(self) -> None:
        """As if nobody had ever registered anything, on all agents and in the catalogs. It keeps running."""
        for member in self.members:
            member.local.empty()
        agents = {member.name for member in self.members}
        for dc in sorted({member.datacenter for member in self.members}):
            for node in self.catalog.nodes(dc=dc).keys() - agents:
                self.catalog.deregister(node, dc=dc)
            for service in self.catalog.services(dc=dc).keys() - {"consul"}:
                for instance in self.catalog.instances(service, dc=dc):
                    self.catalog.deregister(instance.node, instance.id, dc=dc)

    def wait_healthy(self) -> None:
        """All members, and all datacenters know of each other."""
        for member in self.members:
            member.wait_healthy()
        wanted = {member.datacenter for member in self.members}
        for member in self.members:
            _wait(member, "datacenters", lambda api: set(api.call("GET", "catalog/datacenters")) == wanted)

    def rotate(self, kind: Kind = "good", *, days: float = 30) -> None:
        """Another certificate of the agents, good or bad, in force for new connections when this returns."""
        assert self.options.certificates is not None, "it was not started with TLS"
        self.options.certificates.issue_server(kind, days=days)
        for member in self.members:
            if member.serving:
                member.local.reload()

    @property
    def leader(self) -> int:
        """Which member leads the first datacenter, as an index of `members`. Waits for another one when that does not
        serve any more, which the others may not have noticed yet.
        """
        until = time.monotonic() + START_DEADLINE
        while True:
            leader = self.catalog.leader()
            at = next(at for at, member in enumerate(self.members) if member.rpc_advertised == leader)
            if self.members[at].serving:
                return at
            if time.monotonic() > until:
                raise Unreachable("no server that serves leads")
            time.sleep(0.02)

    # --- Steps --------------------------------------------------------------------------------------------------

    def _start_on_free_ports(
        self, names: list[tuple[str, str, str]], rpc_proxied: bool, attempts: int = 5
    ) -> None:
        found = ports.free(PORTS * len(names))
        members = [
            Agent(
                name,
                datacenter,
                found[PORTS * at : PORTS * (at + 1)],
                self.folder,
                self.options,
                server=kind == "server",
                rpc_proxied=rpc_proxied and kind == "server",
            )
            for at, (datacenter, kind, name) in enumerate(names)
        ]
        for member in members:
            member.form(members)
        self.members = members
        if rpc_proxied and self._toxiproxy:
            self.rpc_proxies = [
                self._toxiproxy.add(server.rpc, server.rpc_advertised) for server in self.servers
            ]
        try:
            self.start()
        except StartFailed:
            taken = any(member.process.port_was_taken for member in self.members)
            if not taken or attempts == 1:
                raise
            self.kill()
            for member in self.members:
                member.forget()
            for proxy in self.rpc_proxies:
                proxy.remove()
            self._start_on_free_ports(names, rpc_proxied, attempts - 1)

    def _add_tokens(self) -> None:
        if not self.options.acl:
            return
        self.acl.renew()
        for member in self.members:
            # Nodes that one may not read are left out.
            _wait(member, "tokens", lambda api: api.call("GET", "catalog/nodes") != [], self.tokens["reader"])

    def _apis(self) -> list[Api]:
        first = [member for member in self.members if member.datacenter == self.members[0].datacenter]
        # Servers first: a client agent may be cut off from them.
        first.sort(key=lambda member: not member.server)
        return [member.api() for member in first if member.serving]


def _wait(member: Agent, what: str, condition: Callable[[Api], bool], token: str | None = None) -> None:
    until = time.monotonic() + START_DEADLINE
    while True:
        try:
            if condition(member.api(token)):
                return
        except (Unreachable, Refused):
            pass
        if time.monotonic() > until:
            raise member.process.start_failed(f"did not know all {what} within {START_DEADLINE:g} s")
        time.sleep(0.02)
