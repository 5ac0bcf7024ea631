"""Users, roles and tokens at work: what is refused, how that shows, and how it ends."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

import callsheet
import pytest
from servers import Cluster, Options
from servers import Refused as Unwelcome
from servers.certificates import Certificates
from servers.fixtures import NewCluster
from servers.waiting import until
from shared.seen import Seen, registered, state_of, tagged

PERMISSION = "permission_denied"


class Refused:
    """Three registrations that are refused, each for another reason, all mended at once while nobody tries."""

    def __init__(self, certificates: Certificates, folder: Path, clients: ExitStack) -> None:
        certificates.issue_client("expired")
        files = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
        copy_client(certificates, files)
        certificates.issue_client()
        options = Options(certificates=certificates, client_certificates=True)
        self.etcd = etcd = clients.enter_context(Cluster(options=options, users=True))
        etcd.store.add_user("eve", "new-word")
        self.logins = Logins(etcd)
        self.told: list[str] = []
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self.told.append(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("callsheet").addHandler(handler)
        clients.callback(logging.getLogger("callsheet").removeHandler, handler)
        urls = (
            etcd.url_of(etcd.endpoints, user="none"),
            etcd.url_of(etcd.endpoints, user="eve", password="old-word"),
            etcd.url_of(etcd.endpoints, **files),
        )
        opened = [clients.enter_context(callsheet.connect(url)) for url in urls]
        self.began = time.monotonic()
        self.registrations = [
            client.register("mended", port, "10.0.0.1") for port, client in enumerate(opened, 1)
        ]
        self.states = [state_of(one) for one in self.registrations]

        etcd.store.call("auth/user/grant", {"user": "none", "role": "app"})
        etcd.store.call("auth/user/grant", {"user": "eve", "role": "app"})
        etcd.store.change_password("eve", "old-word")
        copy_client(certificates, files)

    def warnings(self) -> list[str]:
        return [text for text in list(self.told) if "registration of mended/" in text]


def copy_client(certificates: Certificates, files: dict[str, str]) -> None:
    shutil.copy(certificates.client_cert, files["cert"])
    shutil.copy(certificates.client_key, files["key"])


@pytest.fixture(scope="module", autouse=True)
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    """From the start of this module on, so that its half minute passes while the other tests run."""
    folder = tmp_path_factory.mktemp("refused")
    with ExitStack() as clients:
        yield Refused(Certificates(folder / "certificates"), folder, clients)


def test_what_is_refused_says_so_at_once(refused: Refused) -> None:
    unknown = ("refused", "unauthenticated")
    assert refused.states == [("refused", PERMISSION), unknown, unknown]
    until(lambda: len(refused.warnings()) == 3)
    assert all("refused; trying again every 30s" in text for text in refused.warnings())


def test_what_may_be_read_may_not_always_be_written(
    with_users: Cluster, warnings: pytest.LogCaptureFixture
) -> None:
    with (
        callsheet.connect(with_users.url) as app,
        callsheet.connect(with_users.url_of(with_users.endpoints, user="reader")) as reader,
    ):
        registered(app)
        assert len(reader.lookup("billing")) == 1
        registration = reader.register("billing", 81, "10.0.0.1")
        assert state_of(registration) == ("refused", PERMISSION)
        why = str(registration.last_error)
        assert "can't write /services/billing/10.0.0.1:81 in etcd://***@" in why
        assert "grant-permission --prefix ROLE readwrite /services/`" in why
        told = "registration of billing/10.0.0.1:81 refused; trying again every 30s"
        # Logs come on a thread of their own.
        until(lambda: [told in record.getMessage() for record in list(warnings.records)].count(True) == 1)
    assert with_users.store.prefix("/services/") == {}
    assert with_users.store.leases() == []


def test_a_watch_whose_permission_is_taken_away_is_stale_until_it_is_given_back(
    new_cluster: NewCluster, warnings: pytest.LogCaptureFixture
) -> None:
    etcd = new_cluster(users=True, proxied=True)
    with (
        callsheet.connect(etcd.url) as app,
        callsheet.connect(etcd.url_of(etcd.endpoints, user="reader")) as reader,
        Seen(reader) as seen,
    ):
        registered(app)
        seen.until(lambda snapshot: len(snapshot) == 1)
        etcd.store.call("auth/user/revoke", {"name": "reader", "role": "reader"})
        # etcd looks at who may watch when a watch begins.
        etcd.proxies[0].cut()
        stale = seen.until(lambda snapshot: snapshot.freshness == "stale")
        assert len(stale) == 1

        def reason() -> callsheet.Error | None:
            return reader.lookup("billing").last_error

        until(lambda: getattr(reason(), "code", None) == PERMISSION, 25)
        assert "/services/billing/ in etcd://***@" in str(reason())
        assert 'user "reader" has no permission' in str(reason())
        with pytest.raises(callsheet.Unavailable) as caught:
            reader.lookup("other")
        assert isinstance(caught.value.__cause__, callsheet.PermissionDenied)
        told = [record.getMessage() for record in warnings.records]
        assert len([text for text in told if "can't be followed" in text]) <= 2, told

        etcd.store.call("auth/user/grant", {"user": "reader", "role": "reader"})
        live = seen.until(lambda snapshot: snapshot.freshness == "live")
        assert len(live) == 1 and live.last_error is None


def test_while_users_and_roles_are_changed_nobody_is_refused(with_users: Cluster) -> None:
    """Each change makes etcd say `revision of auth store is old` of what it looks at just then."""
    over = threading.Event()

    def change(role: str) -> None:
        store = with_users.store_of("root")
        for count in itertools.count():
            if over.is_set():
                return
            # What was overtaken itself is left out.
            with suppress(Unwelcome):
                store.add_role(f"{role}-{count}", "READ", "/other/")

    states: list[str] = []
    with ThreadPoolExecutor(8) as others, callsheet.connect(with_users.url, ttl=600) as client:

        def register(port: int) -> callsheet.Registration:
            return client.register("billing", port, "10.0.0.1", on_state=states.append)

        changing = [others.submit(change, f"changed-{at}") for at in range(4)]
        registrations = list(others.map(register, range(1, 301)))
        over.set()
        for one in changing:
            one.result()
        for registration in registrations:
            registration.wait("registered", 25)
    assert "refused" not in states


def test_authentication_is_turned_on_while_programs_are_connected(new_cluster: NewCluster) -> None:
    etcd = new_cluster(proxied=True)
    with (
        callsheet.connect(etcd.url, ttl=2) as nobody,
        # A password that nobody asks for does no harm.
        callsheet.connect(etcd.url_of(etcd.endpoints, user="app"), ttl=2) as app,
        Seen(nobody) as seen_by_nobody,
        Seen(app) as seen_by_app,
    ):
        first = registered(nobody, 80)
        second = registered(app, 81)
        for seen in (seen_by_nobody, seen_by_app):
            seen.until(lambda snapshot: len(snapshot) == 2)
        etcd.store.add_role("app", "READWRITE", "/services/")
        for user in ("root", "app"):
            etcd.store.add_user(user, user, user)
        etcd.store.enable_auth()
        etcd.store.login("root", "root")
        third = nobody.register("billing", 82, "10.0.0.1")
        assert state_of(third) == ("refused", "unauthenticated")
        assert "no user was given: give username and password" in str(third.last_error)
        registered(app, 83)
        seen_by_app.until(lambda snapshot: len(snapshot) == 3)

        # What was open before is not asked again who it is; what comes after is.
        etcd.proxies[0].cut()
        seen_by_nobody.until(lambda snapshot: snapshot.freshness == "stale")
        first.wait("refused", 25)
        assert state_of(first) == ("refused", "unauthenticated")
        seen_by_app.until(lambda snapshot: [one.port for one in snapshot] == [81, 83])
        second.update(tags=["still"])
        seen_by_app.until(lambda snapshot: snapshot.freshness == "live" and snapshot[0].tags == ("still",))
        assert second.state == "registered"


@pytest.mark.parametrize("version", ["new", "old"])
def test_tokens_that_expire_under_a_registration_and_a_watch_are_renewed(
    version: Literal["new", "old"], new_cluster: NewCluster
) -> None:
    etcd = new_cluster(options=Options(version=version, auth_token="jwt", auth_token_ttl=1), users=True)
    states: list[str] = []
    with callsheet.connect(etcd.url, ttl=2) as client, Seen(client) as seen:
        registration = registered(client, on_state=states.append)
        logins, began, tag = Logins(etcd), time.monotonic(), 0
        while logins.count() < 3:
            assert time.monotonic() - began < 60, logins.count()
            tag += 1
            registration.update(tags=[str(tag)])
            snapshot = seen.until(tagged(str(tag)))
            assert snapshot.freshness == "live"
        took = time.monotonic() - began
        assert (registration.state, states) == ("registered", ["registered"])
        assert logins.count() <= took + 3, "one login an expiry"


@pytest.mark.parametrize("version", ["new", "old"])
def test_a_token_that_expired_unused_is_renewed(
    version: Literal["new", "old"], new_cluster: NewCluster
) -> None:
    etcd = new_cluster(options=Options(version=version, auth_token_ttl=1), users=True)
    with callsheet.connect(etcd.url) as client:
        client.ping()
        logins, pause = Logins(etcd), 0.5
        # Each use gives a simple token more time, so it is left alone for longer and longer.
        while logins.count() == 0:
            assert pause < 60
            pause *= 2
            time.sleep(pause)
            client.ping()
        assert logins.count() == 1


class Logins:
    """How often clients logged in from here on."""

    def __init__(self, etcd: Cluster) -> None:
        self._etcd = etcd
        self._before = 0
        self._before = self.count()

    def count(self) -> int:
        return self._etcd.logins() - self._before


def test_what_is_refused_is_tried_again_every_half_minute(refused: Refused) -> None:
    for registration in refused.registrations:
        registration.wait("registered", 150)
    assert time.monotonic() - refused.began > 25
    assert len(refused.etcd.store.prefix("/services/mended/")) == 3
    assert len(refused.warnings()) == 3, "one each"
    # Two came so far that they could say who they are, at first and once more.
    assert refused.logins.count() <= 5
