"""What is in an etcd, read and changed by a test: keys, leases, alarms, members. Asks whichever member answers."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .gateway import LATE, UNAUTHENTICATED, UNAVAILABLE, Gateway
from .web import Refused, Unreachable

DEADLINE = 20.0


@dataclass(frozen=True)
class Entry:
    value: bytes
    lease: int
    mod_revision: int


@dataclass(frozen=True)
class Lease:
    ttl: int
    """Seconds left; -1 when there is no such lease (any more)."""
    granted: int
    keys: tuple[str, ...]


class Store:
    """`gateways` says each time whom to ask, best first."""

    def __init__(self, gateways: Callable[[], list[Gateway]]) -> None:
        self._gateways = gateways
        self._user: tuple[str, str] | None = None
        self._token: str | None = None
        self.logins = 0
        """How many Authenticate calls of the servers' own count were these here."""

    def login(self, user: str, password: str) -> None:
        """As whom to ask from now on."""
        self._user, self._token = (user, password), None

    def logout(self) -> None:
        self._user = self._token = None

    # --- Keys ---------------------------------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        return self._range({"key": _text(key)}).get(key)

    def prefix(self, prefix: str) -> dict[str, Entry]:
        """All keys that begin so; everything for an empty one. A linearizable read."""
        return self._range(_under(prefix))

    def put(self, key: str, value: bytes | str, lease: int = 0) -> int:
        """The revision of it."""
        return self.transaction({key: value}, lease=lease)

    def transaction(
        self, puts: Mapping[str, bytes | str], deletes: Iterable[str] = (), *, lease: int = 0
    ) -> int:
        """All in one revision, which it returns. etcd takes 128 operations."""
        operations = [
            *(
                {"request_put": {"key": _text(k), "value": _text(v), "lease": str(lease)}}
                for k, v in puts.items()
            ),
            *({"request_delete_range": {"key": _text(key)}} for key in deletes),
        ]
        return _revision(self.call("kv/txn", {"success": operations}))

    def delete(self, key: str) -> int:
        return _revision(self.call("kv/deleterange", {"key": _text(key)}))

    def delete_prefix(self, prefix: str) -> int:
        return _revision(self.call("kv/deleterange", _under(prefix)))

    def revision(self) -> int:
        """The newest."""
        return _revision(self.call("kv/range", {"key": _text("\0"), "count_only": True}))

    def compact(self, revision: int | None = None) -> None:
        """Forget what was before it, the newest by default; done on the disk when this returns."""
        self.call("kv/compaction", {"revision": str(revision or self.revision()), "physical": True})

    # --- Leases -------------------------------------------------------------------------------------------------

    def grant(self, ttl: int, lease: int = 0) -> int:
        """Its number, which etcd chooses unless one is given."""
        return int(self.call("lease/grant", {"TTL": str(ttl), "ID": str(lease)})["ID"])

    def revoke(self, lease: int) -> None:
        self.call("lease/revoke", {"ID": str(lease)})

    def leases(self) -> list[int]:
        return [int(lease["ID"]) for lease in self.call("lease/leases", {}).get("leases", [])]

    def lease(self, lease: int) -> Lease:
        said = self.call("lease/timetolive", {"ID": str(lease), "keys": True})
        keys = tuple(b64decode(key).decode(errors="surrogateescape") for key in said.get("keys", []))
        return Lease(int(said.get("TTL", 0)), int(said.get("grantedTTL", 0)), keys)

    # --- Upkeep -------------------------------------------------------------------------------------------------

    def alarms(self) -> list[str]:
        return [str(alarm["alarm"]) for alarm in self._alarms()]

    def disarm(self) -> None:
        """End the alarms; that of a full database returns unless space was freed (`compact`, `defragment`)."""
        for alarm in self._alarms():
            self.call("maintenance/alarm", {"action": "DEACTIVATE", **alarm})

    def defragment(self) -> None:
        """Give back what was compacted, on each member that serves."""
        for gateway in self._gateways():
            self._try(gateway, "maintenance/defragment", {}, 30)

    def members(self) -> list[dict[str, Any]]:
        return list(self.call("cluster/member/list", {})["members"])

    def leader(self) -> str:
        """The name of the member that leads; waits while there is none."""
        until = time.monotonic() + DEADLINE
        while (leader := self.call("maintenance/status", {}).get("leader", "0")) == "0":
            if time.monotonic() > until:
                raise Unreachable("no member leads")
            time.sleep(0.02)
        return next(str(member["name"]) for member in self.members() if member["ID"] == leader)

    def cluster_id(self) -> str:
        return str(self.call("maintenance/status", {})["header"]["cluster_id"])

    # --- Users --------------------------------------------------------------------------------------------------

    def add_role(self, role: str, kind: str, prefix: str) -> None:
        """`kind` is READ, WRITE or READWRITE."""
        self.call("auth/role/add", {"name": role})
        self.allow(role, kind, prefix)

    def allow(self, role: str, kind: str, prefix: str) -> None:
        self.call("auth/role/grant", {"name": role, "perm": {"permType": kind, **_under(prefix)}})

    def forbid(self, role: str, prefix: str) -> None:
        """What it was allowed under this very prefix. Who watches already goes on doing so."""
        self.call("auth/role/revoke", {"role": role, **_under(prefix)})

    def permit(self, role: str, verb: Literal["grant", "revoke"], start: str, end: str) -> None:
        """Lets a role read and write the keys from `start` to before `end`, or no more."""
        span = {"key": _text(start), "range_end": _text(end)}
        if verb == "grant":
            self.call("auth/role/grant", {"name": role, "perm": {"permType": "READWRITE", **span}})
        else:
            self.call("auth/role/revoke", {"role": role, **span})

    def add_user(self, user: str, password: str, role: str | None = None) -> None:
        self.call("auth/user/add", {"name": user, "password": password})
        if role is not None:
            self.call("auth/user/grant", {"user": user, "role": role})

    def add_user_who_may(self, user: str, password: str, rights: Iterable[tuple[str, str]]) -> None:
        """By a role of the same name; a right is a kind and a prefix."""
        self.call("auth/role/add", {"name": user})
        for kind, prefix in rights:
            self.allow(user, kind, prefix)
        self.add_user(user, password, user)

    def change_password(self, user: str, password: str) -> None:
        """Ends the tokens of that user."""
        self.call("auth/user/changepw", {"name": user, "password": password})

    def enable_auth(self) -> None:
        """Needs the user `root` with the role `root`; from now on everyone has to say who they are."""
        self.call("auth/enable", {})

    # --- One call -----------------------------------------------------------------------------------------------

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Any call of the gateway. While no member answers, or has no leader, it tries again: what isn't idempotent
        may happen twice.
        """
        until = time.monotonic() + DEADLINE
        # What was sent to a leader that is gone is never answered, so the first tries are short.
        timeout = 2.0
        while True:
            failed: Exception = Unreachable("no member serves")
            for gateway in self._gateways():
                try:
                    return self._try(gateway, path, body, timeout)
                except Unreachable as error:
                    failed = error
                except Refused as error:
                    if error.code != UNAVAILABLE and LATE not in error.message:
                        raise
                    failed = error
            if time.monotonic() > until:
                raise failed
            timeout = min(2 * timeout, 10)
            time.sleep(0.02)

    def _try(self, gateway: Gateway, path: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        try:
            return gateway.call(path, body, self._authenticated(gateway), timeout)
        except Refused as error:
            # An old token, after it ran out or the member that knew it was restarted.
            stale = error.code == UNAUTHENTICATED or "is old" in error.message
            if self._token is None or not stale:
                raise
        self._token = None
        return gateway.call(path, body, self._authenticated(gateway), timeout)

    def _authenticated(self, gateway: Gateway) -> str | None:
        if self._user is not None and self._token is None:
            name, password = self._user
            self.logins += 1
            self._token = str(
                gateway.call("auth/authenticate", {"name": name, "password": password})["token"]
            )
        return self._token

    def _alarms(self) -> list[dict[str, Any]]:
        return list(self.call("maintenance/alarm", {"action": "GET"}).get("alarms", []))

    def _range(self, body: dict[str, Any]) -> dict[str, Entry]:
        found = {}
        for pair in self.call("kv/range", body).get("kvs", []):
            key = b64decode(pair["key"]).decode(errors="surrogateescape")
            value, lease = b64decode(pair.get("value", "")), int(pair.get("lease", 0))
            found[key] = Entry(value, lease, int(pair["mod_revision"]))
        return found


def _text(text: str | bytes) -> str:
    return b64encode(text if isinstance(text, bytes) else text.encode(errors="surrogateescape")).decode()


def _under(prefix: str) -> dict[str, Any]:
    """The range of a prefix: up to the next one of its length. An empty one is the range of all keys."""
    first = prefix.encode(errors="surrogateescape")
    trimmed = first.rstrip(b"\xff")
    after = trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else b"\0"
    return {"key": _text(first or b"\0"), "range_end": _text(after)}


def _revision(said: dict[str, Any]) -> int:
    return int(said["header"]["revision"])
