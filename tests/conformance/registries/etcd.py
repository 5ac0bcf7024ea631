"""`etcd://`: real servers, and what happens to them. Scenarios share one, each with a prefix and a proxy of its own;
those that do what others would feel get a server of their own.
"""

from __future__ import annotations

from pathlib import Path

from servers import QUICK, Cluster, Options, Proxy, Toxiproxy

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
    """The server for those who do it no harm, and the proxies of all. Of one run."""

    def __init__(self, folder: Path) -> None:
        self.cluster = server()
        self.toxiproxy = Toxiproxy([], folder)

    def close(self) -> None:
        self.toxiproxy.process.kill()
        self.cluster.close()


class Etcd:
    """One scenario's."""

    def __init__(self, shared: Shared, number: int, needs: set[str]) -> None:
        self.needs = needs
        self.own = [server(users=bool(needs & USERS))] if needs & (OWN | USERS) else []
        #: The one behind the address.
        self.cluster = self.own[0] if self.own else shared.cluster
        self.prefix = DEFAULT if self.own else f"/{number}/"
        self.proxy = Proxy(shared.toxiproxy, str(number), self.cluster.endpoints[0])
        self.url = self.cluster.url_of([self.proxy.endpoint], path="" if self.own else f"/{number}")
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
                self._lead_to(server() if on else self.own[0])
            case "identity":
                self._lead_to(self._restored())
            case "wipe":
                self.cluster.wipe()
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
        if not self.own:
            for lease in self._leases():
                self.cluster.store.revoke(lease)
            self.cluster.store.delete_prefix(self.prefix)

    def _refuse(self, on: bool) -> None:
        if not on:
            self.cluster.store.allow("app", "READWRITE", DEFAULT)
            return
        self.cluster.store.forbid("app", DEFAULT)
        # etcd asks for permission when a watch begins: who watches already would not feel it.
        self.proxy.cut()

    def _lead_to(self, cluster: Cluster) -> None:
        if cluster not in self.own:
            self.own.append(cluster)
        self.cluster = cluster
        self.proxy.lead_to(cluster.endpoints[0])

    def _restored(self) -> Cluster:
        """Another cluster with the same keys and leases, as from a backup."""
        store, other = self.cluster.store, server()
        for lease in store.leases():
            other.store.grant(store.lease(lease).granted, lease)
        for key, entry in store.prefix("").items():
            other.store.put(key, entry.value, entry.lease)
        return other

    def _leases(self) -> set[int]:
        return {entry.lease for entry in self.cluster.store.prefix(self.prefix).values()} - {0}


def server(*, users: bool = False) -> Cluster:
    """One node, started."""
    return Cluster(options=Options(flags=QUICK), users=users)
