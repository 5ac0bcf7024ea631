"""The types of the extension module. Its docstrings are copied from the Rust source by `stubs.py`."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Generic, Literal, SupportsIndex, TypeVar, final, overload

from typing_extensions import Self, disjoint_base

from callsheet._errors import Error
from callsheet._types import Code, Freshness, Policy, State, Status

_T_co = TypeVar("_T_co", covariant=True)
__all__ = [
    "Call",
    "Changes",
    "Check",
    "Client",
    "Dispatcher",
    "Ejection",
    "Filter",
    "Instance",
    "Job",
    "Memory",
    "NamesWatch",
    "OpenPicker",
    "Pick",
    "Picker",
    "PickerOptions",
    "Registration",
    "Reported",
    "Snapshot",
    "Wakes",
    "Watch",
    "capture_log",
    "close_all",
    "codes",
    "command_line",
    "grpc",
    "heartbeat",
    "http",
    "next_log_line",
    "panic_on_purpose",
    "tcp",
    "ttl",
]

@final
class Instance:
    """One reachable process of a service: immutable, hashable, ordered by service and id, and it pickles.

    Lookups and watches give them out; made by hand they are for tests.
    """

    def __new__(
        cls,
        service: str,
        address: str,
        port: int,
        id: str | None = None,
        scheme: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        weight: int | None = None,
        zone: str | None = None,
        version: str | None = None,
        status: Status | None = None,
    ) -> Self: ...
    @property
    def id(self) -> str:
        """Unique within the service; `address:port` unless chosen."""

    @property
    def service(self) -> str:
        """The service it belongs to."""

    @property
    def address(self) -> str:
        """An IP address or host name."""

    @property
    def port(self) -> int:
        """The port that it listens on."""

    @property
    def scheme(self) -> str:
        """How to speak to it: `http` unless chosen."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Labels, in the order they were given."""

    @property
    def metadata(self) -> MappingProxyType[str, str]:
        """Free pairs of text, as a read-only mapping; `dict` makes one that can be changed, or written as JSON."""

    @property
    def weight(self) -> int:
        """Its share of calls relative to others, for weighted policies."""

    @property
    def zone(self) -> str:
        """Where it runs, such as an availability zone; empty when unknown."""

    @property
    def version(self) -> str:
        """What it runs; empty when unknown."""

    @property
    def status(self) -> Status:
        """Whether to call it: `passing`, `warning`, `critical` or `draining`."""

    @property
    def authority(self) -> str:
        """`address:port`, with brackets around an IPv6 address."""

    @property
    def url(self) -> str:
        """`scheme://address:port`, without a trailing slash."""

    def __hash__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __lt__(self, value: Instance, /) -> bool: ...
    def __le__(self, value: Instance, /) -> bool: ...
    def __gt__(self, value: Instance, /) -> bool: ...
    def __ge__(self, value: Instance, /) -> bool: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Snapshot(Sequence[Instance]):
    """A list of a service's instances, sorted by id, as it was at one moment: an immutable `Sequence`.

    An instance that did not change is the same object in the next snapshot.
    """

    @property
    def service(self) -> str:
        """The service that was asked for."""

    @property
    def revision(self) -> int:
        """A counter of callsheet's own for this watched service. It only grows, whatever the registry's index does."""

    @property
    def freshness(self) -> Freshness:
        """How far to trust it: `live`, `stale` (the registry is away; its last list), `disk` or `fallback`."""

    @property
    def source(self) -> str:
        """The URL that it came from, without secrets."""

    @property
    def age(self) -> float:
        """Seconds since the registry last vouched for this list: 0 while live."""

    @property
    def last_error(self) -> Error | None:
        """Why it is not live."""

    def get(self, id: str, /) -> Instance | None:
        """The instance with this id."""

    def changes_since(self, previous: Snapshot, /) -> Changes:
        """What was added, removed and changed since `previous`, whatever came between."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Instance: ...
    @overload
    def __getitem__(self, index: slice, /) -> tuple[Instance, ...]: ...
    def __iter__(self) -> Iterator[Instance]: ...
    def __reversed__(self) -> Iterator[Instance]: ...
    def __contains__(self, value: object, /) -> bool: ...
    def index(self, value: object, start: int = 0, stop: int = ..., /) -> int:
        """The position of an equal instance.

        Raises:
            ValueError: There is none.
        """

    def count(self, value: object, /) -> int:
        """1 if an equal instance is in it, else 0: ids are unique."""

@final
class Changes:
    """What became of the instances of an earlier snapshot, each a tuple sorted by id. False when nothing did."""

    @property
    def added(self) -> tuple[Instance, ...]:
        """Instances whose ids are new."""

    @property
    def removed(self) -> tuple[Instance, ...]:
        """Instances whose ids are gone, as they were."""

    @property
    def changed(self) -> tuple[Instance, ...]:
        """Instances that stayed but say something else now, as they are."""

    def __bool__(self) -> bool: ...

@final
class Watch:
    """An iterator of the snapshots of a service: the current one first, then one per change, the latest only.

    It blocks between changes and ends when it or the client is closed, from any thread. Dropping it closes it.
    """

    @property
    def skipped(self) -> int:
        """How many snapshots came and went without being read."""

    @property
    def closed(self) -> bool:
        """Whether it was closed, by itself or with its client."""

    def close(self) -> None:
        """End it; every thread that waits for the next snapshot sees the end."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Snapshot: ...
    def _next(self) -> Call[Snapshot | None]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

@final
class NamesWatch:
    """An iterator of the names of all services: the sorted list, the current one first, then one per change.

    It blocks between changes and ends when it or the client is closed, from any thread.
    """

    def close(self) -> None:
        """End it; every thread that waits for the next list sees the end."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> list[str]: ...
    def _next(self) -> Call[list[str] | None]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

@final
class Pick:
    """One picked instance, from the choice until the report.

    As a context manager it reports success, time and exceptions at the end of the block; one that is dropped without
    a report counts as a call that went well.
    """

    @property
    def id(self) -> str:
        """The instance's id."""

    @property
    def address(self) -> str:
        """An IP address or host name."""

    @property
    def port(self) -> int:
        """The port that it listens on."""

    @property
    def url(self) -> str:
        """`scheme://address:port`, without a trailing slash."""

    @property
    def instance(self) -> Instance:
        """The instance."""

    def done(self, ok: bool = True, error: BaseException | None = None) -> None:
        """Report how the call went; only the first report counts.

        Args:
            ok: Whether it went well.
            error: The exception that it failed with, if any. One that is no `Exception`, such as a cancellation, says
                nothing about the instance.
        """

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def __aenter__(self) -> Reported[Self]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Reported[None]: ...

@disjoint_base
class Picker:
    """What `callsheet.Picker` and `callsheet.aio.Picker` are made of."""

    def __new__(cls, opened: OpenPicker) -> Self: ...
    @property
    def service(self) -> str:
        """The service's name."""

    @property
    def policy(self) -> Policy:
        """The policy it was opened with."""

    @property
    def ejected(self) -> list[str]:
        """The ids of the instances that are ejected now, because calls to them failed; see `Ejection`."""

    def pick(self, timeout: float | None = None, *, key: str | bytes | None = None) -> Pick:
        """Pick one instance to call. Without a timeout it never waits and does no I/O.

        Report how the call went by leaving a `with` block of the pick, or with `Pick.done`.

        Args:
            timeout: Seconds to wait for an instance to come.
            key: Such as a user or a file: ``ring_hash`` and ``maglev`` give the same instance for the same key, in
                every process and language that sees the same instances; without one they pick any. Means nothing to
                the other policies.

        Raises:
            NoInstances: There is none, or none came.
            Closed: The client is closed.
        """

    def picking(self, limit: float | None, key: str | bytes | None = None) -> Call[Pick]:
        """A first instance, waited for as long as one request may take unless a timeout says otherwise."""

    def pick_other(self, tried: list[str], key: str | bytes | None = None) -> Pick:
        """Another instance than those whose ids are in `tried`, where there is another."""

    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...

@final
class Ejection:
    """When an instance is not called for a while because calls to it fail: its circuit breaker, for `Client.picker`.

    At most half of the instances are out at once. One that returns is on probation: if its first call fails, it is out
    again.

    Args:
        consecutive_failures: Failures in a row after which an instance is out, at once. 0 to 1,000, 0 for never.
            Default: 5.
        stdev_factor: How far its success rate of an interval may be below the average, in standard deviations; it also
            has to be 10 percentage points below, of at least four instances with enough calls. 0 to 10. Default: 1.5.
        request_volume: Calls of an interval that make its success rate count. At least 1. Default: 20.
        interval: Seconds over which success rates are taken. 0.1 to a day. Default: 10.
        base_ejection_time: Seconds that it is out the first time, twice as long the second time, and so on. 0.1 to a
            day. Default: 30.
        max_ejection_time: Seconds that it is out at most. Up to a day. Default: 300.
        max_ejection_percent: Instances that are out at once at most, rounded down. 0 to 50. Default: 50.

    Raises:
        InvalidArgument: A number is less than 0. `Client.picker` refuses other values that are not allowed.
    """

    def __new__(
        cls,
        *,
        consecutive_failures: int | None = None,
        stdev_factor: float | None = None,
        request_volume: int | None = None,
        interval: float | None = None,
        base_ejection_time: float | None = None,
        max_ejection_time: float | None = None,
        max_ejection_percent: int | None = None,
    ) -> Self: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Check:
    """How an instance's health is decided: by `ttl`, `heartbeat`, `tcp`, `http` or `grpc`, for `Client.register`."""

def ttl(*, deregister_critical_after: float | None = None) -> Check:
    """Healthy while this process lives and renews. The default.

    Args:
        deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
            removes it. Only Consul does. Default: 60 with `ttl`, else 600.

    Raises:
        InvalidArgument: An argument is not allowed.
    """

def heartbeat(interval: float, *, deregister_critical_after: float | None = None) -> Check:
    """Healthy while the program calls `Registration.beat` often enough: a deadlocked program goes critical.

    Args:
        interval: Seconds that may pass between two beats.
        deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
            removes it. Only Consul does. Default: 60 with `ttl`, else 600.

    Raises:
        InvalidArgument: An argument is not allowed.
    """

def tcp(
    *,
    interval: float | None = None,
    timeout: float | None = None,
    address: str | None = None,
    port: int | None = None,
    deregister_critical_after: float | None = None,
) -> Check:
    """Healthy while a port accepts connections: the instance's own, or another address and port.

    Args:
        interval: Seconds between two runs, at least 0.1. Default: 5.
        timeout: Seconds that one run may take. Default: 2.
        address: Where to connect instead; needs `port`.
        port: Where to connect instead; needs `address`.
        deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
            removes it. Only Consul does. Default: 60 with `ttl`, else 600.

    Raises:
        InvalidArgument: An argument is not allowed.
    """

def http(
    target: str,
    *,
    interval: float | None = None,
    timeout: float | None = None,
    deregister_critical_after: float | None = None,
) -> Check:
    """Healthy while a GET is answered with a status of 200 to 299.

    Args:
        target: A path on the instance, such as `/health`, or a whole `http://` URL.
        interval: Seconds between two runs, at least 0.1. Default: 5.
        timeout: Seconds that one run may take. Default: 2.
        deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
            removes it. Only Consul does. Default: 60 with `ttl`, else 600.

    Raises:
        InvalidArgument: An argument is not allowed.
    """

def grpc(
    target: str | None = None,
    *,
    interval: float | None = None,
    timeout: float | None = None,
    deregister_critical_after: float | None = None,
) -> Check:
    """Healthy while a gRPC server says of itself that it is `SERVING`, in the gRPC health protocol and without TLS.

    Args:
        target: `host:port`, `host:port/service`, or `/service` on the instance itself. Default: the instance's own
            server as a whole.
        interval: Seconds between two runs, at least 0.1. Default: 5.
        timeout: Seconds that one run may take. Default: 2.
        deregister_critical_after: Seconds, at least 60, that the instance may be critical before the registry
            removes it. Only Consul does. Default: 60 with `ttl`, else 600.

    Raises:
        InvalidArgument: An argument is not allowed.
    """

@final
class Memory:
    """The registry that clients of `memory:name` in this process share, with the faults that real ones have.

    It is made if there is none yet, and kept while anyone holds it.
    """

    def __new__(cls, name: str) -> Self: ...
    @property
    def url(self) -> str:
        """The URL of its clients."""

    def unreachable(self, on: bool = True) -> None:
        """Every request fails with `unavailable` and every watch breaks, until switched off."""

    def refuse(self, on: bool = True) -> None:
        """Every request fails with `permission_denied`, until switched off."""

    def slow(self, delay: float) -> None:
        """Every request takes this many seconds; 0 switches it off."""

    def answer_empty(self, on: bool = True) -> None:
        """Reads succeed and are empty, as from a cluster without a leader, until switched off."""

    def answer_with_lists(self, on: bool = True) -> None:
        """Watches get whole lists, as from Consul, instead of changes, as from etcd."""

    def lose_leases(self) -> None:
        """Every lease runs out now."""

    def compact(self) -> None:
        """The history up to now is forgotten: a watch that has not followed to its end must load again."""

    def change_identity(self) -> None:
        """The same data under another cluster identity, with a revision that begins anew."""

    def wipe(self) -> None:
        """Everything is gone, and the identity is another: a cluster restarted on an empty disk."""

    def put(self, instance: Instance) -> None:
        """Write an instance as another tool would: without an owner, and without a lease.

        Raises:
            InvalidArgument: The instance is not valid.
        """

    def delete(self, service: str, id: str) -> None:
        """Delete an instance behind its owner's back."""

@final
class Filter:
    """The arguments that every verb of discovery shares, read once."""

    def __new__(
        cls,
        tags: Iterable[str] | None = None,
        zone: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        healthy: bool = True,
    ) -> Self: ...

@final
class PickerOptions:
    """The arguments of `picker`, read once."""

    def __new__(
        cls,
        policy: str,
        *,
        tags: Iterable[str] | None = None,
        zone: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        healthy: bool = True,
        prefer_zone: str | None = None,
        subset: int | None = None,
        client_id: str | None = None,
        ejection: Ejection | bool | None = None,
        panic_threshold: int | None = None,
        slow_start: float | None = None,
    ) -> Self: ...

@final
class OpenPicker:
    """A picker that was opened, to be made a `Picker` of."""

@final
class Reported(Generic[_T_co]):
    """What `async with` awaits of a pick: there is nothing to wait for."""

    def __await__(self) -> Generator[None, None, _T_co]: ...

@final
class Call(Generic[_T_co]):
    """A call of the core's: to be blocked for once, or polled until it has answered. Dropping it gives up on it."""

    def block(self) -> _T_co:
        """Wait for the answer on this thread."""

    def poll(self, wakes: Wakes) -> tuple[_T_co] | None:
        """The answer in a tuple, or None while there is none; then `number` will be among what `wakes` gives out."""

    @property
    def number(self) -> int:
        """Its number among the wakes of the loop that polled it."""

    def cancel(self) -> None:
        """Give up on it."""

@final
class Wakes:
    """The numbers of calls that have news. A loop watches `fileno` for them, or a thread calls `wait`."""

    def __new__(cls, descriptor: bool) -> Self: ...
    def fileno(self) -> int | None:
        """What the loop is to watch for reading; None for a thread."""

    def take(self) -> list[int]:
        """The numbers that came since the last look."""

    def wait(self) -> bool:
        """Block this thread until there is something to take, without the GIL. False once ended."""

    def end(self) -> None:
        """The thread that waits has nothing to wait for any more."""

@final
class Client:
    """A connection to one registry."""

    def __new__(cls, url: str | None, options: Mapping[str, object]) -> Self: ...
    @property
    def source(self) -> str: ...
    @property
    def is_closed(self) -> bool: ...
    def check_open(self) -> None:
        """For what is checked before it begins."""

    def register(self, service: str, port: int, options: Mapping[str, object]) -> Call[Registration]: ...
    def registration(self, id: str) -> Registration: ...
    def lookup(self, service: str, filter: Filter) -> Call[Snapshot]: ...
    def wait_for(self, service: str, count: int, limit: float | None, filter: Filter) -> Call[Snapshot]: ...
    def watch(self, service: str, filter: Filter) -> Watch: ...
    def picker(self, service: str, options: PickerOptions) -> Call[OpenPicker]: ...
    def services(self) -> Call[list[str]]: ...
    def watch_services(self) -> NamesWatch: ...
    def ping(self) -> Call[None]: ...
    def stats(self) -> dict[str, object]:
        """Text or number by name, as the core itself lists them."""

    def count_callback_failure(self) -> None: ...
    def dispatcher(self) -> Dispatcher: ...
    def subscribe(self, service: str, filter: Filter, token: int) -> int:
        """The callback known as `token` is to be called with the snapshots of a service."""

    def subscribe_states(self, registration: Registration, token: int) -> int:
        """The callback known as `token` is to be called with the states of a registration."""

    def close(self) -> Call[None]:
        """Withdraw and end everything but the callbacks, which the dispatcher closes."""

@final
class Registration:
    """A registration that runs until it is closed."""

    @property
    def id(self) -> str: ...
    @property
    def instance(self) -> Instance: ...
    @property
    def state(self) -> State: ...
    @property
    def last_error(self) -> Error | None: ...
    def ready(self, limit: float | None) -> Call[None]: ...
    def wait(self, state: State, limit: float | None) -> Call[None]: ...
    def update(
        self, metadata: Mapping[str, str] | None, tags: Iterable[str] | None, weight: int | None
    ) -> Call[None]: ...
    def beat(self) -> None: ...
    def set_status(self, status: Status, note: str) -> Call[None]: ...
    def drain(self) -> Call[None]: ...
    def close(self) -> Call[None]: ...

@final
class Dispatcher:
    """Hands out callbacks to run, to the one thread that calls `next`."""

    def next(self) -> Call[Job | None]:
        """The next callback to run; None once closed. One at a time is to be asked for."""

    def cancel(self, id: int, limit: float) -> None:
        """End one subscription; wait for its callback if it runs on another thread."""

    def close(self, limit: float) -> None:
        """End all of them."""

@final
class Job:
    """A callback to run now."""

    @property
    def token(self) -> int: ...
    @property
    def cancelled(self) -> bool:
        """Whether its subscription has ended meanwhile: then it is not to be called."""

    def argument(self) -> Any:
        """What to call it with: a snapshot, or the name of a state."""

    def finish(self) -> None:
        """Say that the callback has returned."""

def command_line(args: list[str]) -> int:
    """Run the command line `args`, the program's own name first, and give back its exit code."""

def close_all(clients: list[Client], limit: float) -> None:
    """Close several clients at once, for at most `limit` seconds and without a word of failures: for exit."""

def capture_log(level: str) -> None:
    """Keep the core's lines of this level and above from now on: `error`, `warn`, `info`, `debug` or `trace`."""

def next_log_line(wait: bool) -> tuple[Literal["error", "warn", "info", "debug", "trace"], str] | None:
    """The next line, its level and its message. `None` when there is none and `wait` is false."""

def codes() -> list[tuple[Code, str, bool]]:
    """Every code, the name of its class, and whether it is retryable: for the test that compares them."""

def panic_on_purpose(waiting: bool) -> None:
    """Panic, while waiting or not: for the test that a panic is caught."""
