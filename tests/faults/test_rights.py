"""A token that is worth nothing for a while: nobody is taken for gone, and all is as before when it is good again."""

from __future__ import annotations

import itertools

import callsheet
from conftest import NewConsul, Say
from consul_scene import ConsulScene
from follower import Follower
from footprint import Stopwatch
from invariants import until_none
from scene import lasting
from servers import AgentOptions
from servers.acl import RULES
from servers.binaries import Version

RETRY, REQUEST = 5.0, 5.0
# Between two tries of a registration that is refused.
REFUSED = 30.0
# An agent believes what it knows of a token for so long here.
BELIEVED = 1.0


def test_token_revoked_and_given_back(version: Version, new_consul: NewConsul, say: Say) -> None:
    ttl = 3
    consul = new_consul(clients=1, options=AgentOptions(version=version, acl=True))
    token = consul.acl.token(RULES["app"])
    with ConsulScene(
        consul, url=consul.url_of(token=token), watching_url=consul.url_of(token=token), ttl=ttl
    ) as scene:
        registration = scene.register("a", 1)
        scene.place("a", "foreign", 2)
        follower = scene.follow("a")
        scene.steady()
        seen = len(follower.history)
        consul.acl.revoke(token)
        revoked = Stopwatch()
        registration.wait("refused", timeout=5 * (BELIEVED + ttl / 3 + REQUEST))
        assert isinstance(registration.last_error, callsheet.Unauthenticated)
        say(f"refused after {revoked.seconds:.2f} s")
        until_stale(scene, follower)
        assert follower.latest is not None
        assert isinstance(follower.latest.last_error, callsheet.Unauthenticated)
        say(f"stale after {revoked.seconds:.2f} s")
        assert all(each.ids for each in list(follower.history)[seen:]), "the list is kept"
        consul.acl.restore(token)
        restored = Stopwatch()
        follower.until(lambda latest: latest.freshness == "live", 5 * (BELIEVED + RETRY + REQUEST))
        say(f"live {restored.seconds:.2f} s after it was given back")
        scene.until_registered(5 * (REFUSED + REQUEST))
        say(
            f"registered {restored.seconds:.2f} s after it was given back (promised {REFUSED:g} s and a request)"
        )


def test_16_what_rights_hide_is_not_gone(version: Version, new_consul: NewConsul, say: Say) -> None:
    """A token that may read nothing any more is answered with an empty list, and a status of 200."""
    consul = new_consul(options=AgentOptions(version=version, acl=True))
    token = consul.acl.token(RULES["reader"])
    with ConsulScene(consul, watching_url=consul.url_of(token=token)) as scene:
        scene.register("a", 1)
        scene.place("a", "foreign", 2)
        follower = scene.follow("a")
        scene.steady()
        seen = len(follower.history)
        consul.acl.change(token, "")
        answer = consul.agent.api(token).answer("GET", "health/service/a")
        assert (answer.status, answer.body.strip()) == (200, b"[]")
        changed = Stopwatch()
        until_stale(scene, follower)
        assert follower.latest is not None
        say(f"stale after {changed.seconds:.2f} s: {follower.latest.last_error}")
        lasting(2 * RETRY)
        assert all(each.ids for each in list(follower.history)[seen:]), "the list is kept"
        consul.acl.change(token, RULES["reader"])
        changed = Stopwatch()
        follower.until_ids({"127.0.0.1:1", "foreign"}, 5 * (RETRY + REQUEST))
        say(f"live {changed.seconds:.2f} s after the rights came back")


def until_stale(scene: ConsulScene, follower: Follower) -> None:
    """A query that waits goes on with the rights that it began with until there is something to tell, so there is."""
    ports = itertools.count(1000)

    def changed() -> list[str]:
        scene.place(follower.service, "foreign", next(ports))
        return [] if follower.latest and follower.latest.freshness == "stale" else [follower.told()]

    until_none(changed, 5 * (BELIEVED + REQUEST))
