"""What the desk does with a Consul: the verbs of its own, and what is said of one that was started. `member` is an
index into what `start` answered; 0, when it isn't said, is the agent that programs talk to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .agent import AgentOptions
from .consul import Consul

if TYPE_CHECKING:
    from .catalog import Instance

OPTIONS = ("version", "acl", "http_max_conns_per_client", "config")
Answer = dict[str, Any]


def start(
    folder: Path,
    servers: int = 1,
    clients: int = 0,
    datacenters: int = 1,
    proxied: bool = False,
    rpc_proxied: bool = False,
    tls: bool = False,
    client_certificates: bool = False,
    **options: Any,
) -> Consul:
    """`folder` is for its certificates."""
    if unknown := set(options) - set(OPTIONS):
        raise ValueError(f"no option {', '.join(sorted(unknown))}")
    certificates = None
    if tls or client_certificates:
        # Not at the top: it needs a package that a plain Consul does without.
        from .certificates import Certificates

        certificates = Certificates(folder)
    given = AgentOptions(certificates=certificates, client_certificates=client_certificates, **options)
    return Consul(
        servers,
        clients=clients,
        datacenters=datacenters,
        options=given,
        proxied=proxied,
        rpc_proxied=rpc_proxied,
    )


def where(consul: Consul) -> Answer:
    certificates = consul.options.certificates
    files = ("ca", "unknown_ca", "client_cert", "client_key")
    return {
        "url": consul.url,
        "endpoints": consul.endpoints,
        "direct": [member.endpoint for member in consul.members],
        "dns": [member.dns for member in consul.members],
        "sockets": [str(member.socket) for member in consul.members if member.socket],
        "nodes": [member.name for member in consul.members],
        "tokens": consul.tokens,
        "folder": str(consul.folder),
        "pids": [member.process.pid for member in consul.members],
        **({name: str(getattr(certificates, name)) for name in files} if certificates else {}),
    }


def _wipe(consul: Consul, member: int | None = None) -> Answer:
    if member is None:
        consul.wipe()
    else:
        consul.members[member].wipe()
    return {}


def _leave(consul: Consul, member: int = 0) -> Answer:
    consul.members[member].leave()
    return {}


def _empty(consul: Consul) -> Answer:
    consul.empty()
    return {}


def _status(consul: Consul, member: int = 0) -> Answer:
    return {
        **where(consul),
        "leader": consul.leader,
        "datacenters": consul.catalog.datacenters(),
        "members": consul.members[member].local.members(),
    }


def _url(consul: Consul, member: int = 0, **how: str) -> Answer:
    return {"url": consul.url_of(member, **how)}


def _services(consul: Consul, member: int = 0) -> Answer:
    return {"services": consul.members[member].local.services()}


def _checks(consul: Consul, member: int = 0) -> Answer:
    return {"checks": consul.members[member].local.checks()}


def _register(consul: Consul, service: str, port: int, member: int = 0, **how: Any) -> Answer:
    consul.members[member].local.register(service, port, **how)
    return {}


def _deregister(consul: Consul, id: str, member: int = 0) -> Answer:
    consul.members[member].local.deregister(id)
    return {}


def _set_check(consul: Consul, id: str, status: Any, member: int = 0, note: str = "") -> Answer:
    consul.members[member].local.set_check(id, status, note)
    return {}


def _deregister_check(consul: Consul, id: str, member: int = 0) -> Answer:
    consul.members[member].local.deregister_check(id)
    return {}


def _maintenance(consul: Consul, id: str | None = None, member: int = 0, **how: Any) -> Answer:
    consul.members[member].local.maintenance(id, **how)
    return {}


def _instances(consul: Consul, service: str, **how: Any) -> Answer:
    return {"instances": [_instance(found) for found in consul.catalog.instances(service, **how)]}


def _instance(instance: Instance) -> Answer:
    said = asdict(instance)
    del said["raw"]
    return said


def _register_external(consul: Consul, node: str, service: str, port: int, **how: Any) -> Answer:
    consul.catalog.register(node, service, port, **how)
    return {}


def _deregister_external(consul: Consul, node: str, **how: Any) -> Answer:
    consul.catalog.deregister(node, **how)
    return {}


def _token(consul: Consul, rules: str) -> Answer:
    return {"token": consul.acl.token(rules)}


def _change(consul: Consul, token: str, rules: str) -> Answer:
    consul.acl.change(token, rules)
    return {}


def _revoke(consul: Consul, token: str) -> Answer:
    consul.acl.revoke(token)
    return {}


def _restore(consul: Consul, token: str) -> Answer:
    consul.acl.restore(token)
    return {}


def _calls(consul: Consul, method: str, path: str, member: int = 0) -> Answer:
    return {"calls": consul.members[member].local.calls(method, path)}


def _metrics(consul: Consul, member: int = 0) -> Answer:
    return {"metrics": consul.members[member].local.metrics()}


def _certificate(consul: Consul, of: str = "server", kind: Any = "good", days: float = 30) -> Answer:
    certificates = consul.options.certificates
    if certificates is None:
        raise ValueError('this one was not started with "tls": true')
    {"server": consul.rotate, "client": certificates.issue_client}[of](kind, days=days)
    return {}


def _call(
    consul: Consul,
    path: str,
    verb: str = "GET",
    body: Any = None,
    member: int = 0,
    token: str | None = None,
    query: dict[str, Any] | None = None,
) -> Answer:
    answer = consul.members[member].api(token).answer(verb, path, body, **(query or {}))
    return {
        "status": answer.status,
        "body": answer.body.decode(errors="replace"),
        "headers": dict(answer.headers.items()),
    }


VERBS: dict[str, Callable[..., Answer]] = {
    "wipe": _wipe,
    "leave": _leave,
    "empty": _empty,
    "status": _status,
    "url": _url,
    "services": _services,
    "checks": _checks,
    "register": _register,
    "deregister": _deregister,
    "set_check": _set_check,
    "deregister_check": _deregister_check,
    "maintenance": _maintenance,
    "instances": _instances,
    "register_external": _register_external,
    "deregister_external": _deregister_external,
    "token": _token,
    "change": _change,
    "revoke": _revoke,
    "restore": _restore,
    "calls": _calls,
    "metrics": _metrics,
    "certificate": _certificate,
    "call": _call,
}
