"""The roles of the guide are enough, and the least: with any right less, something of a program's job fails."""

from __future__ import annotations

import itertools
import json

import callsheet
import pytest
from servers import Cluster, Refused
from shared import recipes
from shared.job import EVERYTHING, done, lessened
from shared.seen import registered, state_of

LOOKS = {"lookup", "watch", "list"}
#: What the guide gives a program that looks nothing up.
REGISTERS_ONLY = ["readwrite /services/billing/"]
NUMBERS = itertools.count(1)


class Office:
    """An etcd, as root."""

    def __init__(self, etcd: Cluster) -> None:
        self._store = etcd.store

    def add_order(self, port: int) -> None:
        self._store.put(f"/services/orders/{port}", json.dumps({"address": "10.9.9.9", "port": port}))

    def bills(self) -> list[list[str]]:
        entries = self._store.prefix("/services/billing/").values()
        return [json.loads(entry.value).get("tags", []) for entry in entries]


def user_who_may(etcd: Cluster, rights: list[str]) -> str:
    """A new one, whose password is its name."""
    name = f"program-{next(NUMBERS)}"
    etcd.store.add_user_who_may(name, name, map(recipes.permission, rights))
    return name


def able(etcd: Cluster, rights: list[str], *, registers: bool = True) -> set[str]:
    """What of its job a program with these rights can do."""
    url = etcd.url_of(etcd.endpoints, user=user_who_may(etcd, rights))
    return done(callsheet.connect(url), Office(etcd), registers=registers)


def test_the_roles_of_the_guide_are_enough(with_users: Cluster) -> None:
    assert able(with_users, recipes.of_etcd()) == EVERYTHING


def test_who_only_looks_up_needs_no_more_than_to_read(with_users: Cluster) -> None:
    assert able(with_users, recipes.of_etcd("gateway"), registers=False) == LOOKS


def test_who_looks_nothing_up_needs_its_own_keys_only(with_users: Cluster) -> None:
    assert able(with_users, REGISTERS_ONLY) >= EVERYTHING - LOOKS


@pytest.mark.parametrize("rights", lessened(recipes.of_etcd()), ids=", ".join)
def test_with_any_right_less_something_fails(rights: list[str], with_users: Cluster) -> None:
    assert able(with_users, rights) < EVERYTHING


@pytest.mark.parametrize("rights", lessened(recipes.of_etcd("gateway")), ids=", ".join)
def test_with_any_right_less_nothing_is_found(rights: list[str], with_users: Cluster) -> None:
    assert able(with_users, rights, registers=False) == set()


@pytest.mark.parametrize("rights", lessened(REGISTERS_ONLY), ids=", ".join)
def test_with_any_right_less_nothing_is_registered(rights: list[str], with_users: Cluster) -> None:
    assert "register" not in able(with_users, rights)


def test_the_keys_of_another_service_are_not_to_be_written(with_users: Cluster) -> None:
    Office(with_users).add_order(1)
    before = with_users.store.prefix("/services/")
    user = user_who_may(with_users, recipes.of_etcd())
    theirs = with_users.store_of(user)
    for service in ("orders", "billing2", "billin"):
        key = f"/services/{service}/1"
        with pytest.raises(Refused, match="permission denied"):
            theirs.put(key, "{}")
        with pytest.raises(Refused, match="permission denied"):
            theirs.delete(key)
        with callsheet.connect(with_users.url_of(with_users.endpoints, user=user)) as client:
            registration = client.register(service, 81, "10.0.0.1")
            assert state_of(registration) == ("refused", "permission_denied")
    assert with_users.store.prefix("/services/") == before


def test_the_lease_of_another_service_is_not_to_be_revoked(with_users: Cluster) -> None:
    store = with_users.store
    lease = store.grant(60)
    store.put("/services/orders/1", "{}", lease)
    user = user_who_may(with_users, recipes.of_etcd())
    with pytest.raises(Refused, match="permission denied"):
        with_users.store_of(user).revoke(lease)
    with callsheet.connect(with_users.url_of(with_users.endpoints, user=user)) as client:
        registered(client)
        [mine] = {entry.lease for entry in store.prefix("/services/billing/").values()}
    assert mine not in store.leases()
    assert store.get("/services/orders/1") is not None
