"""Where in a registry the instances are that a process follows."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """As each has to be told of it."""

    #: callsheet: a URL and a service.
    ours: tuple[str, str]
    #: A peer: an endpoint, and what it calls the place.
    peers: tuple[str, str]
    #: Who puts.
    putter: str


def on_etcd(endpoint: str, prefix: str) -> Place:
    """The service `billing` under a prefix such as `/many`."""
    keys = f"{prefix}/billing/"
    return Place((f"etcd://{endpoint}{prefix}", "billing"), (endpoint, keys), keys)


def on_consul(endpoint: str, service: str) -> Place:
    """A service, of which an agent has many more."""
    return Place((f"consul://{endpoint}", service), (endpoint, service), service)
