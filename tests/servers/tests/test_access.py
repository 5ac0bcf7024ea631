"""Who gets in: users, tokens and certificates."""

from __future__ import annotations

import ssl
import time
from typing import Literal

import pytest
from servers import QUICK, Options, Refused, Unreachable
from servers.binaries import Version
from servers.certificates import Certificates, Kind
from servers.fixtures import NewCluster
from servers.gateway import Gateway

PASSWORD = {"name": "app", "password": "app"}


@pytest.mark.parametrize("version", ["new", "old"])
def test_users_may_what_their_role_says(version: Version, new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(version=version, flags=QUICK), users=True)
    assert etcd.url == f"etcd://app:app@{etcd.endpoints[0]}"
    etcd.store_of("app").put("/services/a/1", "{}")
    assert etcd.store_of("reader").get("/services/a/1") is not None
    for user, key in (("app", "/other/1"), ("reader", "/services/a/1"), ("none", "/services/a/1")):
        with pytest.raises(Refused, match="permission denied"):
            etcd.store_of(user).put(key, "{}")
    with pytest.raises(Refused, match="user name is empty"):
        etcd.store_of("").put("/services/a/1", "{}")
    with pytest.raises(Refused, match="authentication failed"):
        Gateway(etcd.endpoints[0]).call("auth/authenticate", {**PASSWORD, "password": "wrong"})
    etcd.store.forbid("app", "/services/")
    with pytest.raises(Refused, match="permission denied"):
        etcd.store_of("app").get("/services/a/1")
    etcd.store.allow("app", "READ", "/services/")
    assert etcd.store_of("app").get("/services/a/1") is not None
    assert etcd.members[0].healthy
    etcd.wipe()
    etcd.store_of("app").put("/services/a/1", "{}")


@pytest.mark.parametrize("kind", ["simple", "jwt"])
def test_tokens_expire_and_the_store_goes_on(kind: Literal["simple", "jwt"], new_cluster: NewCluster) -> None:
    etcd = new_cluster(options=Options(auth_token=kind, auth_token_ttl=1, flags=QUICK), users=True)
    etcd.store.put("a", "1")
    gateway = Gateway(etcd.endpoints[0])
    # A simple token lives longer with each use, so each is used once.
    tokens = [str(gateway.call("auth/authenticate", PASSWORD)["token"]) for _ in range(100)]
    assert (tokens[0].count(".") == 2) == (kind == "jwt")
    before = etcd.calls("Authenticate"), etcd.store.logins
    assert not _refused(gateway, tokens.pop())
    while not _refused(gateway, tokens.pop()):
        time.sleep(0.1)
    etcd.store.put("a", "2")
    assert etcd.calls("Authenticate") - before[0] == etcd.store.logins - before[1] == 1


def _refused(gateway: Gateway, token: str) -> bool:
    try:
        gateway.call("kv/range", {"key": "L3NlcnZpY2VzL2E="}, token)
    except Refused as error:
        assert "invalid auth token" in error.message
        return True
    return False


def test_only_client_certificates_of_the_ca_get_in(
    certificates: Certificates, new_cluster: NewCluster
) -> None:
    etcd = new_cluster(options=Options(certificates=certificates, client_certificates=True, flags=QUICK))
    assert etcd.url.startswith(f"etcds://{etcd.endpoints[0]}?ca={certificates.ca}&cert=")
    assert _asked(etcd.endpoints[0], certificates, client=True)
    with pytest.raises(Unreachable):
        _asked(etcd.endpoints[0], certificates, client=False)
    with pytest.raises(Unreachable):
        Gateway(etcd.endpoints[0]).call("maintenance/status", {})
    bad: tuple[Kind, ...] = ("expired", "unknown-ca")
    for kind in bad:
        certificates.issue_client(kind)
        with pytest.raises(Unreachable):
            _asked(etcd.endpoints[0], certificates, client=True)
    certificates.issue_client("good", days=3)
    assert _asked(etcd.endpoints[0], certificates, client=True)


@pytest.mark.parametrize("version", ["new", "old"])
def test_bad_certificates_of_the_server_are_seen(
    version: Version, certificates: Certificates, new_cluster: NewCluster
) -> None:
    etcd = new_cluster(options=Options(version=version, certificates=certificates, flags=QUICK))
    reasons: dict[Kind, str] = {
        "expired": "certificate has expired",
        "unknown-ca": "unable to get local issuer certificate",
        "wrong-name": "IP address mismatch",
    }
    for kind, reason in reasons.items():
        certificates.issue_server(kind)
        with pytest.raises(Unreachable, match=reason):
            _asked(etcd.endpoints[0], certificates)
        etcd.store.put("a", kind)
    certificates.issue_server()
    assert _asked(etcd.endpoints[0], certificates)


def _asked(endpoint: str, certificates: Certificates, *, client: bool = False) -> dict[str, object]:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    if client:
        context.load_cert_chain(certificates.client_cert, certificates.client_key)
    return Gateway(endpoint, context).call("maintenance/status", {})
