"""Users whose tokens run out and whose permissions change: one login for all who wait, and watches that go on."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Literal

import callsheet
import pytest
from conftest import NewEtcd, Say
from etcd_scene import EtcdScene
from footprint import Stopwatch
from scene import lasting
from servers import Cluster
from servers.binaries import Version

RETRY, REQUEST = 5.0, 5.0
FULL = bool(os.environ.get("CALLSHEET_FAULTS_FULL"))
EXPIRIES = 200
AT_ONCE = 16


@pytest.mark.parametrize("kind", ["simple", "jwt"])
def test_07_token_expiries(
    version: Version, kind: Literal["simple", "jwt"], new_etcd: NewEtcd, say: Say
) -> None:
    """A token lives for a second at least, so most expiries are made: a password that is set again ends the simple
    tokens of its user, and any change of a role ends every JWT (`revision of auth store is old`). With
    CALLSHEET_FAULTS_FULL all of them are real.
    """
    etcd = new_etcd(version=version, users=True, auth_token=kind, auth_token_ttl=1)
    # The lease outlives the storm of made expiries, in which a renewal may never meet a token that is still good.
    with EtcdScene(etcd, ttl=15) as scene, ThreadPoolExecutor(AT_ONCE) as threads:
        registration = scene.register("a", 1)
        for service in ("a", "b", "c"):
            scene.follow(service)
        scene.steady()

        def ask() -> None:
            """Many requests at once, each with the old token."""
            for asked in [threads.submit(scene.consumer.ping) for _ in range(AT_ONCE)]:
                asked.result(5 * REQUEST)

        ask()
        before, made = etcd.logins(), Stopwatch()
        for count in range(0 if FULL else EXPIRIES):
            if kind == "simple":
                etcd.store.change_password("app", "app")
            else:
                etcd.store.add_role(f"role-{count}", "READ", f"/{count}/")
            ask()
            registration.update(metadata={"count": str(count)})
            assert registration.last_error is None
        made_logins, took = etcd.logins() - before, made.seconds
        # A second's real expiries came on top.
        if not FULL:
            assert 2 * EXPIRIES <= made_logins <= 2 * (EXPIRIES + took + 1)
            say(f"{made_logins} logins of 2 clients in {EXPIRIES} expiries and {took:.1f} s")

        before, real, rounds = etcd.logins(), Stopwatch(), 0
        while rounds < (EXPIRIES if FULL else 5):
            # Within twice its TTL a token is gone that is not used, or that counts in whole seconds.
            lasting(2.2)
            ask()
            rounds += 1
        real_logins = etcd.logins() - before
        say(f"{real_logins} logins in {rounds} real expiries")
        # The other client may have had something to ask as well, at most as often.
        assert rounds <= real_logins <= 2 * (real.seconds + 1 if kind == "jwt" else rounds)
        # On the stream of long ago, whose token is none any more.
        scene.follow("d")
        scene.probe(["d"], RETRY + REQUEST)


def test_10_short_tokens(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """`--auth-token-ttl 5`, both kinds of token at once."""
    kinds: tuple[Literal["simple", "jwt"], ...] = ("simple", "jwt")
    clusters = [new_etcd(version=version, users=True, auth_token=kind, auth_token_ttl=5) for kind in kinds]
    with ExitStack() as stack:
        scenes = []
        for etcd in clusters:
            scene = stack.enter_context(EtcdScene(etcd, ttl=3))
            scene.register("a", 1)
            scene.follow("a")
            scene.steady()
            scenes.append(scene)
        before = [scene.etcd.store.get(scene.key(scene.registrations[0])) for scene in scenes]
        for count in range(4):
            # Longer than any token lives that is not used.
            lasting(6.2)
            for scene in scenes:
                scene.probe(["a"], REQUEST)
                scene.follow(f"new-{count}")
                scene.probe([f"new-{count}"], RETRY + REQUEST)
                scene.register("a", count + 2)
        after = [scene.etcd.store.get(scene.key(scene.registrations[0])) for scene in scenes]
        assert after == before, "what was registered first had no gap"
        for kind, scene in zip(kinds, scenes, strict=True):
            assert scene.consumer.stats()["load_failures"] == 0
            say(f"{kind}: {scene.etcd.logins()} logins of 2 clients")


def test_a_watch_that_is_refused_breaks_no_other(version: Version, new_etcd: NewEtcd, say: Say) -> None:
    """etcd says that it created a watcher and cancelled it, in one message without its id: matched by order."""
    etcd = new_etcd(version=version, users=True, proxied=True)
    services = [f"a{count}" for count in range(10)]
    forbidden = services[3:6]
    with EtcdScene(etcd) as scene:
        for service in services:
            scene.follow(service)
            scene.put(service, "first")
        scene.steady()
        permit(etcd, "grant", "/services/a", "/services/a3")
        permit(etcd, "grant", "/services/a6", "/services/b")
        permit(etcd, "revoke", "/services/", "/services0")
        etcd.proxies[0].cut()
        for service in forbidden:
            follower = scene.followers[service]
            follower.until(lambda latest: latest.freshness == "stale", RETRY + REQUEST)
            assert follower.latest is not None
            assert isinstance(follower.latest.last_error, callsheet.PermissionDenied)
            assert service in str(follower.latest.last_error)
            assert len(follower.latest) == 1, "what is not permitted any more is not gone"
        allowed = [service for service in services if service not in forbidden]
        scene.probe(allowed, 5 * (RETRY + REQUEST))
        refused = Stopwatch()
        permit(etcd, "grant", "/services/", "/services0")
        scene.probe(forbidden, 5 * (RETRY + REQUEST))
        say(f"live {refused.seconds:.2f} s after the permission came back")


def permit(etcd: Cluster, verb: Literal["grant", "revoke"], start: str, end: str) -> None:
    etcd.store.permit("app", verb, start, end)
