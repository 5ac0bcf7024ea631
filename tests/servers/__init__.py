"""Real registries and the fault proxy, started, hurt and stopped by tests in every language."""

from __future__ import annotations

from .cluster import Cluster
from .etcd import QUICK, Etcd, Options
from .gateway import Refused, Unreachable
from .process import StartFailed
from .proxy import Proxy, Toxiproxy
from .store import Entry, Lease, Store

__all__ = [
    "QUICK",
    "Cluster",
    "Entry",
    "Etcd",
    "Lease",
    "Options",
    "Proxy",
    "Refused",
    "StartFailed",
    "Store",
    "Toxiproxy",
    "Unreachable",
]
