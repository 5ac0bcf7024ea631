"""Three servers of Consul and two client agents. Each process talks to one of these, through a proxy; agents reach the
servers through proxies as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from servers import Consul, Refused, Unreachable

from .consul_history import GUESTS, ConsulHistory
from .consul_invariants import of_agents, of_catalog
from .consul_shown import shown_all
from .ground import Differences, Ground, Group, Menu
from .invariants import of_crew, of_watchers
from .parts import FOLLOWED, PARTS, REGISTERED, SERVICES, SLOTS

if TYPE_CHECKING:
    from servers import Agent, Proxy

    from .crew import Crew
    from .parts import Part
    from .schedule import Step

SERVERS = 3
# Longer than any storm.
PATIENCE = 60.0
AGENTS = 2
MENU = Menu(
    groups=(
        Group(
            tuple(f"a{at}" for at in range(AGENTS)),
            {
                "blackhole": (1, 1, 2),
                "deafen": (1,),
                "mute": (1,),
                "refuse": (1, 2),
                "latency": (1, 2),
                "reset": (1, 2),
                "bandwidth": (1,),
                "slice": (1,),
                "cut": (1, 2),
                "pause": (1,),
                "kill": (1, 2),
                "stop": (1,),
                "wipe": (1, 2),
            },
        ),
        Group(
            tuple(f"s{at}" for at in range(SERVERS)),
            {
                "blackhole": (1, 3),
                "refuse": (1, 3),
                "latency": (1, 3),
                "cut": (1, 3),
                "pause": (1, 1, 2),
                "kill": (1, 1, 2, 3),
                "stop": (1, 3),
            },
        ),
    ),
    data=("deregister", "deregister", "uncheck", "fail", "usurp", "litter", "guests", "guests"),
    targets={
        "litter": SERVICES,
        "guests": SERVICES,
        # Those whose default id would be held by another tool step aside, to an id that nobody foresees.
        "usurp": tuple(slot.name for slot in SLOTS if slot.chosen),
        # Of a process that is killed before it saw that its check is gone, nobody would ever say that it is not well.
        "uncheck": tuple(slot.name for part in PARTS if not part.mortal for slot in part.slots),
    },
)
ID_OF = {slot.name: slot.id for slot in REGISTERED}
SERVICE_OF = {slot.name: slot.service for slot in REGISTERED}
# Which agent the registrations of a part are at.
HOME_OF = {part.name: at % AGENTS for at, part in enumerate(PARTS)}
HOMES = {slot.name: HOME_OF[part.name] for part in PARTS for slot in part.slots}


class ConsulGround(Ground):
    menu = MENU
    # What a program could not withdraw in time is critical after its TTL of 3 s, for 60 s, and removed by its agent
    # within 30 s of that; everything else takes less.
    deadline = 180.0
    # What an agent could not tell the servers it tries again every 15 to 30 s.
    late = 35.0
    # What an agent forgets is gone from the servers too.
    keepers = tuple(f"a{number}" for number in range(AGENTS))

    def __init__(self) -> None:
        self._consul = Consul(SERVERS, clients=AGENTS, proxied=True, rpc_proxied=True)
        self.history: ConsulHistory = ConsulHistory(self._consul.servers)

    def close(self) -> None:
        self._consul.close()

    def url(self, part: Part) -> str:
        return self._consul.url_of(HOME_OF[part.name])

    @property
    def endpoints(self) -> list[str]:
        return self._consul.endpoints

    def proxy(self, member: str) -> Proxy:
        proxies = self._consul.proxies if member[0] == "a" else self._consul.rpc_proxies
        return proxies[int(member[1:])]

    def member(self, member: str) -> Agent:
        members = self._consul.clients if member[0] == "a" else self._consul.servers
        return members[int(member[1:])]

    def tell(self, whom: list[str]) -> str:
        return "no leader" if len([name for name in whom if name[0] == "s"]) > 1 else ""

    def wait_healthy(self) -> None:
        self._consul.wait_healthy()
        # What was asked of a server that hung may be done late, and then once more.
        for node in self._consul.catalog.nodes():
            if node.startswith(GUESTS):
                self._remove_node(node)
        # An agent that was away could not be asked to give back what was usurped, whose owner may have left meanwhile.
        for agent in self._consul.clients:
            for name in agent.local.services():
                _insist(partial(self._give_back, agent, name))

    def differences(self, crew: Crew) -> Differences:
        read = [
            (service, word)
            for service in FOLLOWED
            for word, _ in shown_all([one.raw for one in self._consul.catalog.instances(service)]).values()
        ]
        agents = self._consul.clients
        homes = {slot: agents[at].name for slot, at in HOMES.items()}
        services = {agent.name: agent.local.services() for agent in agents}
        checks = {agent.name: agent.local.checks() for agent in agents}
        return Differences(
            [*of_catalog(read, crew.ledger), *of_agents(homes, services, checks, crew.ledger)],
            of_watchers(crew.tracks, read),
            of_crew(crew),
        )

    def left(self) -> list[str]:
        names = self._consul.catalog.services().keys() - {"consul"}
        left = [f"{name} is still in the catalog" for name in names]
        for agent in self._consul.clients:
            left += [f"{id} is still at {agent.name}" for id in agent.local.services()]
            left += [f"the check {id} is still at {agent.name}" for id in agent.local.checks()]
        return left

    # --- The data -----------------------------------------------------------------------------------------------

    def data(self, step: Step) -> tuple[Callable[[], object], Callable[[], object]]:
        (whom,) = step.whom
        if whom in SERVICES:
            node = f"{GUESTS}{step.kind}-{whom}"
            port = 9000 if step.kind == "guests" else 0
            return lambda: self._set_node(node, whom, port), lambda: self._remove_node(node)
        agent, id, check = self._consul.clients[HOMES[whom]], ID_OF[whom], f"callsheet:{ID_OF[whom]}"
        match step.kind:
            case "deregister":
                return _if_there(lambda: agent.local.deregister(id)), _nothing
            case "uncheck":
                return _if_there(lambda: agent.local.deregister_check(check)), _nothing
            case "fail":
                return _if_there(lambda: agent.local.set_check(check, "critical", "by hand")), _nothing
            case "usurp":
                return _if_there(lambda: self._usurp(agent, whom)), _if_there(
                    lambda: self._give_back(agent, id)
                )
        raise ValueError(step.kind)

    def _usurp(self, agent: Agent, slot: str) -> None:
        agent.local.register(
            SERVICE_OF[slot], 9000, id=ID_OF[slot], address="10.9.9.9", meta={"n": "usurper"}
        )

    def _give_back(self, agent: Agent, id: str) -> None:
        there = agent.local.services().get(id)
        if there is not None and (there["Meta"] or {}).get("n") == "usurper":
            agent.local.deregister(id)

    def _set_node(self, node: str, service: str, port: int) -> None:
        """A node without an agent, with ten instances that come at once; without a port they are none."""
        services = [
            {
                "Service": {
                    "Verb": "set",
                    "Node": node,
                    "Service": {
                        "ID": f"{node}-{at}",
                        "Service": service,
                        "Address": "10.9.9.9",
                        "Port": port,
                        "Meta": {"n": f"g{at}"},
                    },
                }
            }
            for at in range(10)
        ]
        first = {"Node": {"Verb": "set", "Node": {"Node": node, "Address": "10.9.9.9"}}}
        _insist(lambda: self._consul.catalog.call("PUT", "txn", [first, *services]))

    def _remove_node(self, node: str) -> None:
        """With all that is on it, at once."""
        _insist(lambda: self._consul.catalog.deregister(node))


def _if_there(work: Callable[[], object]) -> Callable[[], None]:
    """An agent that is away, or does not know the id, is spared; one that comes back has forgotten nothing of it."""

    def tried() -> None:
        try:
            work()
        except (Refused, Unreachable):
            pass

    return tried


def _insist(work: Callable[[], object]) -> None:
    """Until servers that come and go have done it. There are many ways in which Consul says that they did not."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            work()
            return
        except (Refused, Unreachable):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _nothing() -> None:
    pass
