"""`consul://`: real agents, and what happens to them. Consul's names know no prefix, so each scenario has a server of
its own, emptied after the one before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any

from servers import AgentOptions, Consul, Proxy, Toxiproxy
from servers.acl import RULES

from .anti_entropy import AntiEntropy

#: What there have to be tokens for. Then the URL has that of `app`, and there is one that may nothing.
TOKENS = {"refuse", "revoke", "tokens"}
NOTHING = "00000000-0000-4000-8000-000000000000"
#: What needs a second server, which answers in the first one's place.
ANOTHER = {"empty", "identity"}
#: What is until it is switched off.
LASTING = {"down", "empty", "refuse", "revoke", "slow", "unreachable"}
#: Scenarios at once, each with servers of its own: with more on a small machine, checks run out that are renewed.
AT_ONCE = 8
#: By how much the index of a server that is to be replaced is ahead: what an empty answer is worth depends on it.
AHEAD = 100
#: How long an agent may take to tell its servers what it was told.
SYNC = 10.0
#: Ports that are none. Whatever else a tool writes, Consul checks.
NO_PORTS = (0, -1, -8080, 65536, 99999, 1 << 40)


class Servers:
    """Those that no scenario uses just now, and the proxies of all. Of one run."""

    def __init__(self, folder: Path) -> None:
        self.toxiproxy = Toxiproxy([], folder)
        self.anti_entropy = AntiEntropy()
        self.turns = Semaphore(AT_ONCE)
        self._lock = Lock()
        self._idle: dict[bool, list[Consul]] = {False: [], True: []}

    def take(self, *, tokens: bool) -> Consul:
        consul = self._idle_one(tokens) or _started(tokens)
        self.anti_entropy.begin(consul)
        return consul

    def give(self, consul: Consul, token: str | None) -> None:
        """Back, as if nobody had ever been there, with this token or without."""
        self.anti_entropy.end(consul)
        try:
            consul.empty()
            _until(lambda: consul.catalog.services().keys() == {"consul"}, "the catalog is not empty")
            if token:
                # Not before: an agent that can't tell the servers something tries again a quarter of a minute later.
                consul.acl.remove(token)
        except BaseException:
            consul.close()
            raise
        with self._lock:
            self._idle[consul.options.acl].append(consul)

    def close(self) -> None:
        self.anti_entropy.close()
        self.toxiproxy.process.kill()
        for consul in self._idle[False] + self._idle[True]:
            consul.close()

    def _idle_one(self, tokens: bool) -> Consul | None:
        with self._lock:
            idle = self._idle[tokens]
            return idle.pop() if idle else None


class OfConsul:
    """One scenario's. Its program has a token with the rules `rights`, where they are given."""

    def __init__(
        self, servers: Servers, number: int, needs: set[str], rights: Sequence[str] | None = None
    ) -> None:
        self.servers, self.needs = servers, needs
        self.rules = RULES["app"] if rights is None else "\n".join(rights)
        self.login: dict[str, str] = {}
        servers.turns.acquire()
        try:
            self._open(number, limited=rights is not None)
        except BaseException:
            servers.turns.release()
            raise

    def _open(self, number: int, *, limited: bool) -> None:
        servers, needs = self.servers, self.needs
        self.own = servers.take(tokens=limited or bool(needs & TOKENS))
        #: The one behind the address.
        self.consul = self.own
        self.other = servers.take(tokens=limited) if needs & ANOTHER else None
        #: The token of the program; none where everybody may everything.
        self.token = self.own.tokens.get("app")
        if limited:
            self.token = self.own.acl.token(self.rules)
            self.login = {"token": self.token}
            if self.other:
                self.other.acl.token(self.rules, secret=self.token)
        if needs & (ANOTHER | {"wipe"}):
            past = _raft_index(self.other) if self.other else 0
            while _raft_index(self.own) < past + AHEAD:
                pass
        self.proxy = Proxy(servers.toxiproxy, f"consul-{number}", self.own.endpoints[0])
        token = f"?token={self.token}" if self.token and not self.login else ""
        self.url = f"consul://{self.proxy.endpoint}{token}"
        self.lasting: set[str] = set()
        self.left = 0

    def fault(self, kind: str, on: bool, seconds: float, service: str, id: str) -> None:
        if kind not in self.needs:
            raise ValueError(f"the scenario does not say that it needs {kind!r}")
        lasted = kind in self.lasting
        if kind in LASTING:
            on = seconds > 0 if kind == "slow" else on
            (self.lasting.add if on else self.lasting.discard)(kind)
        local = self.consul.agent.local
        match kind:
            case "unreachable":
                (self.proxy.disable if on else self.proxy.enable)()
            case "slow":
                if lasted:
                    self.proxy.renew()
                if on:
                    self.proxy.latency(seconds)
            case "down":
                (self.consul.stop if on else self.consul.start)()
            case "refuse" | "revoke":
                self._rights(kind, on)
            case "empty":
                self._lead_to(self._another() if on else self.own)
            case "identity":
                _copy(self.own, self._another())
                self._lead_to(self._another())
            case "wipe":
                self._wipe()
            case "compact" | "lists":
                pass  # Consul has no history, and answers with whole lists, whatever one does.
            case "lose_leases":
                for name, check in local.checks().items():
                    if check["Type"] == "ttl":
                        local.deregister_check(name)
            case "maintenance":
                local.maintenance(id, on=on, reason="an operator works on it")
            case "put":
                self._put(service, id, 9999)
            case "delete":
                local.deregister(id)
            case "garbage":
                self._leave_garbage(service, id)
            case _:
                raise ValueError(f"Consul has no fault {kind!r}")

    def settle(self) -> None:
        """What agents are told, reads see once it was told to the servers: wait for that."""
        if self.consul.agent.serving:
            _until(lambda: _in_agent(self.consul) == _in_catalog(self.consul), "the agent did not sync")

    def heal(self) -> None:
        for kind in sorted(self.lasting):
            self.fault(kind, False, 0, "", "")

    def close(self) -> None:
        try:
            self.heal()
            self.proxy.remove()
            for consul in filter(None, (self.own, self.other)):
                self.servers.give(consul, self.login.get("token"))
        finally:
            self.servers.turns.release()

    def _another(self) -> Consul:
        assert self.other, "a scenario that needs another server has one"
        return self.other

    def _lead_to(self, consul: Consul) -> None:
        self.consul = consul
        self.proxy.lead_to(consul.endpoints[0])

    def _wipe(self) -> None:
        if not self.login:
            self.consul.wipe()
            return
        # Whoever came before there is the token again would be told that nobody knows it.
        self.proxy.disable()
        self.consul.wipe()
        self.proxy.enable()

    def _rights(self, kind: str, on: bool) -> None:
        assert self.token, "a scenario about rights has a token"
        acl = self.own.acl
        if kind == "refuse":
            acl.change(self.token, "" if on else self.rules)
        else:
            (acl.revoke if on else acl.restore)(self.token)
        if on:
            # A query that waits is asked for its rights when it begins: who follows already would not feel it.
            self.proxy.cut()

    def _put(self, service: str, id: str, port: int) -> None:
        entry = {"ID": id, "Name": service, "Address": "10.9.9.9", "Port": port}
        # With the checks of whoever had the id before, it would end as theirs would.
        query: dict[str, Any] = {"replace-existing-checks": True}
        self.consul.agent.api().call("PUT", "agent/service/register", entry, **query)

    def _leave_garbage(self, service: str, id: str) -> None:
        if id:
            self._put(service, id, 0)
            return
        self.left += 1
        for port in NO_PORTS:
            self._put(service, f"{self.left} at port {port}", port)
            self.consul.catalog.register(f"node-{self.left}", service, port, id=f"at port {port}")
        self._put(f"{service}/nested", f"nested {self.left}", 9999)


def _started(tokens: bool) -> Consul:
    consul = Consul(options=AgentOptions(acl=tokens))
    if tokens:
        consul.acl.token("", secret=NOTHING)
    return consul


def _raft_index(consul: Consul) -> int:
    """After a write that moves it, which one that says the same again would not."""
    api = consul.agent.api()
    api.call("PUT", "kv/callsheet", time.monotonic_ns())
    return int(api.answer("GET", "kv/callsheet").headers["X-Consul-Index"])


def _copy(consul: Consul, other: Consul) -> None:
    """All services with their checks, as from a backup."""
    checks = consul.agent.local.checks()
    for service in consul.agent.local.services().values():
        entry = {name: service[name] for name in ("ID", "Address", "Port", "Tags", "Meta", "Weights")}
        own = [check for check in checks.values() if check["ServiceID"] == service["ID"]]
        entry["Checks"] = [
            {"CheckID": check["CheckID"], "Name": check["Name"], "TTL": "600s", "Status": check["Status"]}
            for check in own
        ]
        other.agent.api().call("PUT", "agent/service/register", {"Name": service["Service"], **entry})


def _in_agent(consul: Consul) -> object:
    local = consul.agent.local
    services = {id: _shown(service) for id, service in local.services().items()}
    return services, {id: check["Status"] for id, check in local.checks().items()}


def _in_catalog(consul: Consul) -> object:
    name, catalog = consul.agent.name, consul.catalog
    found = catalog.call("GET", f"catalog/node/{name}", consistent=True)["Services"]
    services = {id: _shown(service) for id, service in found.items() if id != "consul"}
    checks = catalog.checks_of_node(name)
    return services, {id: status for id, status in checks.items() if id != "serfHealth"}


def _shown(service: dict[str, Any]) -> object:
    fields = [service.get(name) or None for name in ("Service", "Address", "Port", "Weights")]
    return fields, service.get("Tags") or [], service.get("Meta") or {}


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + SYNC
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{otherwise} within {SYNC:g} s")
        time.sleep(0.005)
