"""The words of the API that are plain strings and dicts, for type checkers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

if TYPE_CHECKING:
    from callsheet._callsheet import Check, Ejection

# Unions where one Literal would do: stubtest takes an alias with several words for a union, and looks for one.
Code: TypeAlias = (
    Literal[
        "invalid_argument",
        "config",
        "not_found",
    ]
    | Literal[
        "no_instances",
        "unavailable",
        "timeout",
        "unauthenticated",
        "permission_denied",
        "conflict",
        "closed",
        "cancelled",
        "forked",
        "protocol",
        "internal",
    ]
)
"""What kind of failure an `Error` is; the same words in every language."""

State: TypeAlias = (
    Literal["pending", "registered"] | Literal["lost", "refused", "superseded"] | Literal["closed"]
)
"""Where a registration stands."""

Status: TypeAlias = Literal["passing"] | Literal["warning", "critical", "draining"]
"""Whether an instance should be called; healthy means ``passing``."""

Freshness: TypeAlias = Literal["live"] | Literal["stale", "disk", "fallback"]
"""How far a snapshot can be trusted to show the registry as it is."""

Policy: TypeAlias = (
    Literal["round_robin", "random"]
    | Literal["p2c", "weighted", "least_outstanding"]
    | Literal["ring_hash", "maglev"]
)
"""How a picker chooses."""

Path: TypeAlias = str | PathLike[str]


class Options(TypedDict, total=False):
    """The options of `connect`. They win over the URL's query, that over ``$CALLSHEET_…``, that over the defaults.

    Durations are seconds as a number, or a text such as ``"500ms"``; ``None`` is as if not given.
    """

    token: str | None
    """The registry's access token."""
    token_file: Path | None
    """A file with the token, read again when the registry refuses."""
    username: str | None
    """The user to authenticate as."""
    password: str | None
    """The user's password."""
    ca: Path | None
    """Certificates to trust, a PEM file."""
    cert: Path | None
    """The client's certificate, a PEM file."""
    key: Path | None
    """The client's key, a PEM file."""
    server_name: str | None
    """The name to expect in the server's certificate."""
    insecure: bool | str | None
    """True takes anybody for the registry: its certificate is not verified. For trials only; a warning says so."""
    timeout: float | str | None
    """Time that one request may take. Default: 5 s."""
    ttl: float | str | None
    """How long the registry keeps registrations without hearing of them, 1 s to 1 day. Default: 10 s."""
    prefix: str | None
    """Under which keys instances are written. Default: ``/services/``."""
    datacenter: str | None
    """The datacenter to ask, on Consul. Default: the agent's own."""
    fallback: Sequence[str] | str | None
    """URLs of registries to ask while this one cannot be read."""
    cache_dir: Path | None
    """Where to save the last known lists. Default: nowhere."""
    cache_size: int | str | None
    """How many services are followed at most while unused ones can give way. Default: 1,000."""
    cache_max_age: float | str | None
    """How old a saved list may be. Default: 24 h."""
    empty_hold: float | str | None
    """How long an empty list that nothing proves is held back. Default: 10 minutes."""
    drain: float | str | None
    """How long closing a registration waits for calls under way. Default: 0."""


class Filters(TypedDict, total=False):
    """Which instances are asked for: those that fit all of these. None is as if not given."""

    tags: Iterable[str] | None
    """Only instances with all of these tags."""
    zone: str | None
    """Only instances in this zone."""
    version: str | None
    """Only instances of this version."""
    metadata: Mapping[str, str] | None
    """Only instances with all of these pairs."""
    healthy: bool
    """False takes instances of every status. Default: True."""


class PickOptions(Filters, total=False):
    """What `picker` takes besides service and policy, as explained there. None is as if not given."""

    prefer_zone: str | None
    subset: int | None
    client_id: str | None
    ejection: Ejection | bool | None
    panic_threshold: int | None
    slow_start: float | None


class RegisterOptions(TypedDict, total=False):
    """What `register` takes besides service, port, address and id, as explained there. None is as if not given."""

    scheme: str | None
    tags: Iterable[str] | None
    metadata: Mapping[str, str] | None
    weight: int | None
    zone: str | None
    version: str | None
    ttl: float | None
    check: Check | None
    ready: bool
    wait_for_port: bool
    drain: float | None


class Stats(TypedDict):
    """What a client has done and holds. Counts only grow; the rest is as of the call."""

    registry: str
    """The registry's URL, without secrets."""
    registrations: int
    """Registrations that are not closed."""
    registered: int
    """Of these, how many the registry holds now."""
    watched_services: int
    """Services being followed for watches, pickers and recent lookups."""
    live_services: int
    """Of these, how many are live."""
    stale_services: int
    """Of these, how many show the registry's last list, as it is away or refuses."""
    disk_services: int
    """Of these, how many show a list that was saved on disk."""
    fallback_services: int
    """Of these, how many show what a fallback registry says."""
    subscribers: int
    """Watches, pickers and callbacks that are open."""
    breaker_open: int
    """1 while the circuit breaker is open: all requests but one in a while fail at once."""
    retry_budget: int
    """Requests that failed and may be made again now, while others succeed: at most 100."""
    publishes: int
    """Times that a registration was written to the registry."""
    publish_failures: int
    """Tries of that which failed."""
    losses: int
    """Registrations that the registry lost or somebody deleted."""
    superseded: int
    """Registrations that another live process took over."""
    loads: int
    """Whole reads of a service."""
    load_failures: int
    """Reads that failed, and follows that broke."""
    reloads: int
    """Times that a service could not be followed on and was read again and compared."""
    snapshots: int
    """Snapshots made."""
    skipped: int
    """Snapshots that a slow subscriber did not take before the next one came."""
    empty_held: int
    """Empty lists held back because nothing proved them."""
    undecodable: int
    """Values under a service's name that are no instance."""
    disk_loads: int
    """Times that a saved list was shown, as the registry could not be read."""
    fallback_loads: int
    """Times that a fallback registry's list was shown, as the registry could not be read."""
    breaker_opened: int
    """Times that the circuit breaker opened, after failures in a row."""
    held_back: int
    """Requests that were not made, as the circuit breaker was open or the retry budget spent."""
    ejections: int
    """Times that a picker ejected an instance, because calls to it failed."""
    idle_dropped: int
    """Watched services dropped because nobody used them."""
    callback_failures: int
    """Callbacks that raised."""
    log_dropped: int
    """Log lines not handed to `logging` because it did not take them in time."""
