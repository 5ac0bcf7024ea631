"""A scene on Consul: what other tools register there, and what has to hold of agents, checks and the catalog."""

from __future__ import annotations

from typing import Any

import callsheet
import consul_invariants
from scene import Scene
from servers import Agent, Consul


class ConsulScene(Scene):
    """Takes what `Scene` takes. Registrations are made at the first member, `agent`."""

    def __init__(self, consul: Consul, **options: Any) -> None:
        self.consul = consul
        # Service and id of what the test itself has registered, on nodes without an agent and at the agent.
        self.placed: set[tuple[str, str]] = set()
        self.beside: set[tuple[str, str]] = set()
        super().__init__(consul, **options)

    @property
    def agent(self) -> Agent:
        return self.consul.agent

    def place(self, service: str, id: str, port: int) -> None:
        self.placed.add((service, id))
        # Of nodes without an agent, so that nobody else changes what is on them; a node has each id once.
        self.consul.catalog.register(f"elsewhere-{service}", service, port, id=id, address="127.0.0.1")

    def register_beside(self, service: str, id: str, port: int = 9) -> None:
        """As another tool does, at the same agent and without a check."""
        self.beside.add((service, id))
        self.agent.local.register(service, port, id=id, address="127.0.0.1")

    def deregister_beside(self, service: str, id: str) -> None:
        self.beside.remove((service, id))
        self.agent.local.deregister(id)

    def stored(self, registration: callsheet.Registration) -> object:
        """Its node, and the index at which the service was registered last; a check that is renewed changes none."""
        found = self.consul.catalog.instances(registration.instance.service)
        return [
            (each.node, each.raw["Service"]["CreateIndex"], each.raw["Service"]["ModifyIndex"])
            for each in found
            if each.id == registration.id
        ]

    def wrong_at_work(self) -> list[str]:
        return consul_invariants.at_work(self)

    def not_withdrawn(self) -> list[str]:
        return consul_invariants.not_withdrawn(self)

    def __enter__(self) -> ConsulScene:
        return self
