"""What the desk does with an etcd: the verbs of its own, and what is said of one that was started."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cluster import Cluster
from .etcd import Options

if TYPE_CHECKING:
    from .store import Entry

OPTIONS = ("version", "auth_token", "auth_token_ttl", "quota", "max_request_bytes", "flags")


def start(
    folder: Path,
    nodes: int = 1,
    users: bool = False,
    proxied: bool = False,
    tls: bool = False,
    client_certificates: bool = False,
    **options: Any,
) -> Cluster:
    """`folder` is for its certificates."""
    if unknown := set(options) - set(OPTIONS):
        raise ValueError(f"no option {', '.join(sorted(unknown))}")
    certificates = None
    if tls or client_certificates:
        # Not at the top: it needs a package that plain etcd does without.
        from .certificates import Certificates

        certificates = Certificates(folder)
    given = Options(certificates=certificates, client_certificates=client_certificates, **options)
    return Cluster(nodes, options=given, users=users, proxied=proxied)


def where(cluster: Cluster) -> dict[str, Any]:
    certificates = cluster.options.certificates
    files = ("ca", "unknown_ca", "client_cert", "client_key")
    return {
        "url": cluster.url,
        "endpoints": cluster.endpoints,
        "direct": [member.endpoint for member in cluster.members],
        "folder": str(cluster.folder),
        "pids": [member.process.pid for member in cluster.members],
        **({name: str(getattr(certificates, name)) for name in files} if certificates else {}),
    }


def _wipe(cluster: Cluster, new_id: bool = False) -> dict[str, Any]:
    cluster.wipe(new_id=new_id)
    return {}


def _url(cluster: Cluster, endpoints: list[str] | None = None, **how: str) -> dict[str, Any]:
    return {"url": cluster.url_of(endpoints or cluster.endpoints, **how)}


def _get(cluster: Cluster, key: str | None = None, prefix: str = "") -> dict[str, Any]:
    if key is None:
        found = cluster.store.prefix(prefix)
    else:
        entry = cluster.store.get(key)
        found = {key: entry} if entry else {}
    return {"entries": [_entry(key, entry) for key, entry in found.items()]}


def _entry(key: str, entry: Entry) -> dict[str, Any]:
    # Leases are wider than what JavaScript counts to.
    said = {"key": key, "lease": str(entry.lease), "mod_revision": entry.mod_revision}
    try:
        return {**said, "value": entry.value.decode()}
    except UnicodeDecodeError:
        return {**said, "value64": b64encode(entry.value).decode()}


def _put(
    cluster: Cluster, key: str, value: str = "", value64: str | None = None, lease: str | int = 0
) -> dict[str, Any]:
    return {"revision": cluster.store.put(key, value if value64 is None else b64decode(value64), int(lease))}


def _transaction(cluster: Cluster, puts: dict[str, str], deletes: Iterable[str] = ()) -> dict[str, Any]:
    return {"revision": cluster.store.transaction(puts, deletes)}


def _delete(cluster: Cluster, key: str | None = None, prefix: str | None = None) -> dict[str, Any]:
    if key is not None:
        return {"revision": cluster.store.delete(key)}
    if prefix is None:
        raise ValueError("delete what: a key or a prefix?")
    return {"revision": cluster.store.delete_prefix(prefix)}


def _compact(cluster: Cluster, revision: int | None = None) -> dict[str, Any]:
    cluster.store.compact(revision)
    return {}


def _grant(cluster: Cluster, ttl: int) -> dict[str, Any]:
    return {"lease": str(cluster.store.grant(ttl))}


def _leases(cluster: Cluster) -> dict[str, Any]:
    leases = [(number, cluster.store.lease(number)) for number in cluster.store.leases()]
    said = [
        {"lease": str(number), "ttl": lease.ttl, "granted": lease.granted, "keys": lease.keys}
        for number, lease in leases
        if lease.ttl >= 0
    ]
    return {"leases": said}


def _revoke(cluster: Cluster, lease: str | int | None = None) -> dict[str, Any]:
    """All of them, when none is named."""
    for number in cluster.store.leases() if lease is None else [int(lease)]:
        cluster.store.revoke(number)
    return {}


def _disarm(cluster: Cluster) -> dict[str, Any]:
    cluster.store.disarm()
    return {}


def _defragment(cluster: Cluster) -> dict[str, Any]:
    cluster.store.defragment()
    return {}


def _status(cluster: Cluster) -> dict[str, Any]:
    store = cluster.store
    return {
        **where(cluster),
        "leader": cluster.leader,
        "revision": store.revision(),
        "cluster_id": store.cluster_id(),
        "alarms": store.alarms(),
        "logins": store.logins,
    }


def _calls(cluster: Cluster, method: str) -> dict[str, Any]:
    return {"calls": cluster.calls(method)}


def _metrics(cluster: Cluster, member: int = 0) -> dict[str, Any]:
    return {"metrics": cluster.members[member].metrics()}


def _certificate(
    cluster: Cluster, of: str = "server", kind: str = "good", days: float = 30
) -> dict[str, Any]:
    certificates = cluster.options.certificates
    if certificates is None:
        raise ValueError('this one was not started with "tls": true')
    issue = {"server": certificates.issue_server, "client": certificates.issue_client}[of]
    issue(kind, days=days)  # type: ignore[arg-type]
    return {}


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "wipe": _wipe,
    "url": _url,
    "get": _get,
    "put": _put,
    "transaction": _transaction,
    "delete": _delete,
    "compact": _compact,
    "grant": _grant,
    "leases": _leases,
    "revoke": _revoke,
    "disarm": _disarm,
    "defragment": _defragment,
    "status": _status,
    "calls": _calls,
    "metrics": _metrics,
    "certificate": _certificate,
}
