"""Real registries and the fault proxy, started, hurt and stopped by tests in every language."""

from __future__ import annotations

from .agent import Agent, AgentOptions
from .catalog import Catalog, Instance
from .cluster import Cluster
from .consul import Consul
from .etcd import QUICK, Etcd, Options
from .local import Local
from .process import StartFailed
from .proxy import Proxy, Toxiproxy
from .store import Entry, Lease, Store
from .web import Refused, Unreachable

__all__ = [
    "QUICK",
    "Agent",
    "AgentOptions",
    "Catalog",
    "Cluster",
    "Consul",
    "Entry",
    "Etcd",
    "Instance",
    "Lease",
    "Local",
    "Options",
    "Proxy",
    "Refused",
    "StartFailed",
    "Store",
    "Toxiproxy",
    "Unreachable",
]
