"""The policies of the guide are enough, and the least: with any right less, something of a program's job fails."""

from __future__ import annotations

from collections.abc import Iterator

import callsheet
import pytest
from servers import AgentOptions, Consul, Refused
from servers.binaries import Version
from servers.local import Local
from servers.waiting import until
from shared import recipes
from shared.job import EVERYTHING, done, lessened
from shared.seen import state_of

LOOKS = {"lookup", "watch", "list"}


class Office:
    """A Consul, as one with a token for everything."""

    def __init__(self, consul: Consul) -> None:
        self._consul = consul

    def add_order(self, port: int) -> None:
        self._consul.agent.local.register("orders", port, id=f"orders-{port}", address="10.9.9.9")
        until(lambda: f"orders-{port}" in self._consul.catalog.ids("orders"))

    def bills(self) -> list[list[str]]:
        return [list(instance.tags) for instance in self._consul.catalog.instances("billing")]


@pytest.fixture(scope="module", params=["new", "old"])
def _denying(request: pytest.FixtureRequest) -> Iterator[Consul]:
    version: Version = request.param
    with Consul(options=AgentOptions(version=version, acl=True)) as consul:
        yield consul


@pytest.fixture
def denying(_denying: Consul) -> Consul:
    """One server that denies by default, of each version, with nothing registered as each test begins."""
    _denying.empty()
    return _denying


def able(consul: Consul, rights: list[str], *, registers: bool = True) -> set[str]:
    """What of its job a program with these rights can do."""
    token = consul.acl.token("\n".join(rights))
    return done(callsheet.connect(consul.url_of(token=token)), Office(consul), registers=registers)


def test_the_policy_of_the_guide_is_enough(denying: Consul) -> None:
    assert able(denying, recipes.of_consul()) == EVERYTHING


def test_who_only_looks_up_needs_no_more_than_to_read(denying: Consul) -> None:
    assert able(denying, recipes.of_consul("gateway"), registers=False) == LOOKS


@pytest.mark.parametrize("rights", lessened(recipes.of_consul()), ids=", ".join)
def test_with_any_right_less_something_fails(rights: list[str], denying: Consul) -> None:
    assert able(denying, rights) < EVERYTHING


@pytest.mark.parametrize("rights", lessened(recipes.of_consul("gateway")), ids=", ".join)
def test_with_any_right_less_something_is_not_found(rights: list[str], denying: Consul) -> None:
    assert able(denying, rights, registers=False) < LOOKS


def test_another_service_is_not_to_be_written(denying: Consul) -> None:
    Office(denying).add_order(1)
    denying.agent.local.register("billing2", 2)
    before = denying.agent.local.services()
    token = denying.acl.token("\n".join(recipes.of_consul()))
    theirs = Local(denying.agent.api(token))
    for service, id in (("orders", "orders-1"), ("billing2", "billing2"), ("billin", "new")):
        with pytest.raises(Refused, match="Permission denied"):
            theirs.register(service, 81, id=id)
        with callsheet.connect(denying.url_of(token=token)) as client:
            registration = client.register(service, 81, "10.0.0.1", id=id)
            assert state_of(registration) == ("refused", "permission_denied")
    for id in ("orders-1", "billing2"):
        for refused in (theirs.deregister, theirs.maintenance):
            with pytest.raises(Refused, match="Permission denied"):
                refused(id)
    assert denying.agent.local.services() == before
