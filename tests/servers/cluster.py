"""An etcd of one or three members: started together, hurt one by one, and gone with its data at the end."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlencode

from . import ports
from .etcd import Etcd, Options
from .gateway import Gateway
from .process import Process, StartFailed
from .proxy import Proxy, Toxiproxy
from .store import Store
from .warden import warden

# Whom `users=True` makes, each with its own name as password, and what they may do.
USERS = {
    "root": "everything",
    "app": "read and write /services/",
    "reader": "read /services/",
    "none": "nothing",
}


class Cluster:
    """Started when this returns. `close`, or `with`, ends it. With `proxied` each member has a proxy in front of it,
    in `proxies`, and `endpoints` and `url` go through those; `store` never does.
    """

    def __init__(
        self, nodes: int = 1, *, options: Options | None = None, users: bool = False, proxied: bool = False
    ) -> None:
        self.options = options or Options()
        self.users = users
        self.folder = Path(tempfile.mkdtemp(prefix="callsheet-etcd-"))
        warden.guard(self.folder)
        self.members: list[Etcd] = []
        self.store = Store(self._gateways)
        self._toxiproxy: Toxiproxy | None = None
        self._ids = 0
        try:
            self._start_on_free_ports(nodes)
            if proxied:
                self._toxiproxy = Toxiproxy([member.endpoint for member in self.members], self.folder)
            self._add_users()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
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
    def proxies(self) -> list[Proxy]:
        """In the order of the members; none unless `proxied`."""
        return self._toxiproxy.proxies if self._toxiproxy else []

    @property
    def endpoints(self) -> list[str]:
        """host:port of each member, or of the proxy in front of it."""
        return [server.endpoint for server in self.proxies or self.members]

    @property
    def url(self) -> str:
        """As callsheet is given it: with the CA, a client certificate and the user `app` where there are."""
        return self.url_of(self.endpoints)

    def url_of(
        self,
        endpoints: list[str],
        *,
        user: str | None = None,
        password: str | None = None,
        path: str = "",
        **query: str,
    ) -> str:
        """Of some endpoints, as another user (an empty one is nobody); `query` goes over what `url` has."""
        options: dict[str, str] = {}
        certificates = self.options.certificates
        if certificates:
            options["ca"] = str(certificates.ca)
            if self.options.client_certificates:
                options |= {"cert": str(certificates.client_cert), "key": str(certificates.client_key)}
        options |= query
        user = user if user is not None else "app" if self.users else ""
        login = f"{quote(user)}:{quote(user if password is None else password)}@" if user else ""
        asked = f"?{urlencode(options, safe='/')}" if options else ""
        return f"{'etcds' if certificates else 'etcd'}://{login}{','.join(endpoints)}{path}{asked}"

    def store_of(self, user: str) -> Store:
        """What the store is to one of the `USERS`, or to nobody when empty."""
        store = Store(self._gateways)
        if user:
            store.login(user, user)
        return store

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

    def wipe(self, *, new_id: bool = False) -> None:
        """Stop, lose all data, start on the same ports: revisions begin again, under the same cluster id or not."""
        self.kill()
        for member in self.members:
            member.forget()
        self._ids += new_id
        self._form(self.members)
        self.start()
        self._add_users()

    def wait_healthy(self) -> None:
        for member in self.members:
            member.wait_healthy()

    @property
    def leader(self) -> int:
        """Which member leads, as an index of `members`."""
        leader = self.store.leader()
        return next(at for at, member in enumerate(self.members) if member.name == leader)

    def calls(self, method: str) -> int:
        """How many requests or streams of a gRPC method the members that serve were asked for."""
        return sum(member.calls(method) for member in self.members if member.serving)

    def logins(self) -> int:
        """How often clients have logged in since the members started, the fixture's own store apart."""
        return self.calls("Authenticate") - self.store.logins

    # --- Steps --------------------------------------------------------------------------------------------------

    def _start_on_free_ports(self, nodes: int, attempts: int = 5) -> None:
        found = ports.free(3 * nodes)
        members = [
            Etcd(f"m{at}", found[3 * at : 3 * at + 3], self.folder, self.options) for at in range(nodes)
        ]
        self._form(members)
        self.members = members
        try:
            self.start()
        except StartFailed:
            taken = any(member.process.port_was_taken for member in self.members)
            if not taken or attempts == 1:
                raise
            self.kill()
            for member in self.members:
                member.forget()
            self._start_on_free_ports(nodes, attempts - 1)

    def _form(self, members: list[Etcd]) -> None:
        for member in members:
            member.form(members, f"callsheet-{self._ids}")

    def _add_users(self) -> None:
        if not self.users:
            return
        self.store.logout()
        roles = {"app": "READWRITE", "reader": "READ"}
        for role, kind in roles.items():
            self.store.add_role(role, kind, "/services/")
        for user in USERS:
            self.store.add_user(user, user, user if user in roles or user == "root" else None)
        self.store.enable_auth()
        self.store.login("root", "root")

    def _gateways(self) -> list[Gateway]:
        certificates = self.options.certificates
        tls = certificates.context() if certificates else None
        return [Gateway(member.endpoint, tls) for member in self.members if member.serving]
