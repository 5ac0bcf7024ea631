"""`etcd://`: real servers, and what happens to them. Scenarios share one, each with a prefix and a proxy of its own;
those that do what others would feel get a server of their own. So do, one after another, those with rights: who adds a
user disturbs the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from servers import QUICK, Cluster, Options, Proxy, Toxiproxy
from shared import recipes

from .foreign import GARBAGE, instance

#: What reaches further than one prefix.
OWN = {"compact", "down", "empty", "identity", "wipe"}
#: What there have to be users for. Then the URL is that of the user `app`.
USERS = {"auth", "refuse"}
#: Where `app` may read and write, and callsheet's own default.
DEFAULT = "/services/"
#: What is until it is switched off.
LASTING = {"down", "empty", "refuse", "slow", "unreachable"}


class Shared:
    """Of one run: the server for those who do it no harm, those with users that nobody uses just now, all proxies."""

    def __init__(self, folder: Path) -> None:
        self.cluster = server()
        self.toxiproxy = Toxiproxy([], folder)
        self._lock = Lock()
        self._idle: list[Cluster] = []

    def lend(self) -> Cluster:
        """One with users, empty."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return server(users=True)

    def give_back(self, cluster: Cluster) -> None:
        for lease in cluster.store.leases():
            cluster.store.revoke(lease)
        cluster.store.delete_prefix("")
        with self._lock:
            self._idle.append(cluster)

    def close(self) -> None:
        self.toxiproxy.process.kill()
        for cluster in (self.cluster, *self._idle):
            cluster.close()


class Etcd:
    """One scenario's. Its program may what `rights` say, where they are given."""

    def __init__(
        self, shared: Shared, number: int, needs: set[str], rights: Sequence[str] | None = None
    ) -> None:
        self.shared, self.needs = shared, needs
        self.users = rights is not None or bool(needs & USERS)
        lent = rights is not None and not needs & OWN
        self.own = [server(users=self.users)] if not lent and (needs & OWN or self.users) else []
        self.lent = shared.lend() if lent else None
        #: The one behind the address.
        self.cluster = self.lent or (self.own[0] if self.own else shared.cluster)
        alone = self.cluster is not shared.cluster
        self.prefix = DEFAULT if alone else f"/{number}/"
        #: Who the program is, where there are users, and what it may under which prefix.
        self.user, self.rights = "app", [("READWRITE", DEFAULT)]
        self.login: dict[str, str] = {}
        if rights is not None:
            self.user, self.rights = f"program-{number}", [recipes.permission(right) for right in rights]
            self.login = {"username": self.user, "password": self.user}
            self._add_user(self.cluster)
        self.proxy = Proxy(shared.toxiproxy, str(number), self.cluster.endpoints[0])
        path, user = "" if alone else f"/{number}", "" if self.login else None
        self.url = self.cluster.url_of([self.proxy.endpoint], user=user, path=path)
        self.lasting: set[str] = set()

    def fault(self, kind: str, on: bool, seconds: float, service: str, id: str) -> None:
        if kind not in self.needs:
            raise ValueError(f"the scenario does not say that it needs {kind!r}")
        lasted = kind in self.lasting
        if kind in LASTING:
            on = seconds > 0 if kind == "slow" else on
            (self.lasting.add if on else self.lasting.discard)(kind)
        store, key = self.cluster.store, f"{self.prefix}{service}/{id}"
        match kind:
            case "unreachable":
                (self.proxy.disable if on else self.proxy.enable)()
            case "slow":
                if lasted:
                    self.proxy.renew()
                if on:
                    self.proxy.latency(seconds)
            case "down":
                (self.cluster.stop if on else self.cluster.start)()
            case "refuse":
                self._refuse(on)
            case "empty":
                self._lead_to(self._another() if on else self.own[0])
            case "identity":
                self._lead_to(self._restored())
            case "wipe":
                self._wipe()
            case "compact":
                store.compact()
            case "lose_leases":
                for lease in self._leases():
                    store.revoke(lease)
            case "put":
                store.put(key, instance(service, id))
            case "delete":
                store.delete(key)
            case "garbage":
                nested = {"": instance(service, ""), "nested/key": instance(service, "nested/key")}
                values = {id: b"null"} if id else GARBAGE | nested
                store.transaction({f"{self.prefix}{service}/{name}": its for name, its in values.items()})
            case _:
                raise ValueError(f"etcd has no fault {kind!r}")

    def settle(self) -> None:
        pass  # What is written is read.

    def heal(self) -> None:
        for kind in sorted(self.lasting):
            self.fault(kind, False, 0, "", "")

    def close(self) -> None:
        self.proxy.remove()
        for cluster in self.own:
            cluster.close()
        if self.lent:
            self.shared.give_back(self.lent)
        elif not self.own:
            for lease in self._leases():
                self.cluster.store.revoke(lease)
            self.cluster.store.delete_prefix(self.prefix)

    def _refuse(self, on: bool) -> None:
        for kind, prefix in self.rights:
            if on:
                self.cluster.store.forbid(self.user, prefix)
            else:
                self.cluster.store.allow(self.user, kind, prefix)
        if not on:
            return
        # etcd asks for permission when a watch begins: who watches already would not feel it.
        self.proxy.cut()

    def _lead_to(self, cluster: Cluster) -> None:
        if cluster not in self.own:
            self.own.append(cluster)
        self.cluster = cluster
        self.proxy.lead_to(cluster.endpoints[0])

    def _restored(self) -> Cluster:
        """Another cluster with the same keys and leases, as from a backup."""
        store, other = self.cluster.store, self._another()
        for lease in store.leases():
            other.store.grant(store.lease(lease).granted, lease)
        for key, entry in store.prefix("").items():
            other.store.put(key, entry.value, entry.lease)
        return other

    def _another(self) -> Cluster:
        """An empty one, with the same users."""
        other = server(users=self.users)
        if self.login:
            self._add_user(other)
        return other

    def _wipe(self) -> None:
        if not self.login:
            self.cluster.wipe()
            return
        # Whoever came before there is the user again would be told that the password is wrong.
        self.proxy.disable()
        self.cluster.wipe()
        self._add_user(self.cluster)
        self.proxy.enable()

    def _add_user(self, cluster: Cluster) -> None:
        """With the rights of the program, and its name as password."""
        cluster.store.add_user_who_may(self.user, self.user, self.rights)

    def _leases(self) -> set[int]:
        return {entry.lease for entry in self.cluster.store.prefix(self.prefix).values()} - {0}


def server(*, users: bool = False) -> Cluster:
    """One node, started."""
    return Cluster(options=Options(flags=QUICK), users=users)
