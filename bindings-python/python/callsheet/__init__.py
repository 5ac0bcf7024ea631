"""Service discovery for every language on a team: register, find, follow and pick instances.

A provider says who it is and where it can be reached::

    with callsheet.connect() as client:
        with client.register("billing", port=8080):
            serve()

A consumer finds it, follows it and picks an instance to call::

    with callsheet.connect() as client:
        picker = client.picker("billing")
        with picker.pick() as pick:
            requests.get(f"{pick.url}/invoices")

The registry is chosen by the URL alone: ``local:`` for the processes of one machine, ``memory:`` for tests.
`callsheet.aio`
has the same for asyncio.
"""

from collections.abc import Sequence as _Sequence

from callsheet import memory
from callsheet._callbacks import Subscription
from callsheet._callsheet import (
    Changes,
    Check,
    Ejection,
    Instance,
    NamesWatch,
    Pick,
    Snapshot,
    Watch,
    grpc,
    heartbeat,
    http,
    tcp,
    ttl,
)
from callsheet._client import Client, connect
from callsheet._errors import (
    Cancelled,
    Closed,
    Config,
    Conflict,
    Error,
    Forked,
    Internal,
    InvalidArgument,
    NoInstances,
    NotFound,
    PermissionDenied,
    Protocol,
    Timeout,
    Unauthenticated,
    Unavailable,
)
from callsheet._picker import Picker
from callsheet._registration import Registration
from callsheet._types import Code, Freshness, Options, Policy, State, Stats, Status

_Sequence.register(Snapshot)

__all__ = [
    "Cancelled",
    "Changes",
    "Check",
    "Client",
    "Closed",
    "Code",
    "Config",
    "Conflict",
    "Ejection",
    "Error",
    "Forked",
    "Freshness",
    "Instance",
    "Internal",
    "InvalidArgument",
    "NamesWatch",
    "NoInstances",
    "NotFound",
    "Options",
    "PermissionDenied",
    "Pick",
    "Picker",
    "Policy",
    "Protocol",
    "Registration",
    "Snapshot",
    "State",
    "Stats",
    "Status",
    "Subscription",
    "Timeout",
    "Unauthenticated",
    "Unavailable",
    "Watch",
    "connect",
    "grpc",
    "heartbeat",
    "http",
    "memory",
    "tcp",
    "ttl",
]
