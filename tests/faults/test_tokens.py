"""Tokens that etcd gave and takes no longer: one login for everything that waits for it, and none lost."""

from __future__ import annotations

from typing import Literal

import pytest
from conftest import NewEtcd, Say
from footprint import Stopwatch
from scene import Scene, lasting
from servers import Cluster
from servers.binaries import Version

REQUEST = 5.0


class Logins:
    """How often clients have logged in from here on, those of the test itself not counted."""

    def __init__(self, etcd: Cluster) -> None:
        self._etcd = etcd
        self._before = 0
        self._before = self.count()

    def count(self) -> int:
        return self._etcd.calls("Authenticate") - self._etcd.store.logins - self._before


def test_07_two_hundred_tokens_expire(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """Each change of users makes every JWT too old at once, which is quicker than waiting for the end of its time."""
    expiries, registered = 200, 5
    etcd = new_etcd(version=version, users=True, auth_token="jwt", auth_token_ttl=600)
    with Scene(etcd) as scene:
        follower = scene.follow("a")
        for port in range(1, registered + 1):
            scene.register("a", port)
        scene.steady()
        logins, took = Logins(etcd), Stopwatch()
        for expiry in range(expiries):
            etcd.store.add_role(f"role-{expiry}", "READ", "/elsewhere/")
            tag = str(expiry)
            # All of them are refused together, and wait for one login.
            for registration in scene.registrations:
                registration.update(tags=[tag])
            follower.until(
                lambda latest, tag=tag: [one.tags for one in latest] == [(tag,)] * registered, REQUEST
            )  # type: ignore[misc]
        count = logins.count()
        # A role is made in two steps, and somebody may ask between them.
        assert expiries <= count <= 2 * expiries
        assert scene.provider.stats()["losses"] == 0
        say(
            f"{count} logins for {expiries} expiries and {expiries * registered} writes in {took.seconds:.0f} s"
        )


@pytest.mark.parametrize(("kind", "ttl"), [("simple", 5), ("jwt", 1)])
def test_10_past_many_expiries(
    version: Version, kind: Literal["simple", "jwt"], ttl: int, new_etcd: NewEtcd, say: Say
) -> None:
    etcd = new_etcd(version=version, users=True, auth_token=kind, auth_token_ttl=ttl)
    with Scene(etcd, ttl=3) as scene:
        follower = scene.follow("a")
        registration = scene.register("a", 1)
        scene.steady()
        logins = Logins(etcd)
        # Idle but for its keep-alives, so that nothing gives the token more time.
        lasting(11)
        registration.update(tags=["late"])
        follower.until(lambda latest: [one.tags for one in latest] == [("late",)], 5 * REQUEST)
        # A watch that is opened now meets the old token of its stream.
        scene.put("b", "one")
        scene.follow("b").until_ids({"one"}, 5 * REQUEST)
        assert scene.provider.stats()["losses"] == 0
        say(f"{logins.count()} logins after 11 s of a token of {ttl} s")
