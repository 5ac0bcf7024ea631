"""The client: one registry, its registrations, its watched services."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from callsheet import _exit, _log, _signals
from callsheet._callbacks import CLOSE, Callbacks, Subscription
from callsheet._callsheet import Filter, PickerOptions
from callsheet._connection import Connection, check_on_state
from callsheet._errors import Error, Forked, Timeout
from callsheet._picker import Picker
from callsheet._registration import Registration

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from callsheet._callsheet import Check, Ejection, NamesWatch, Snapshot, Watch
    from callsheet._types import Options, Policy, State


def connect(url: str | None = None, **options: Unpack[Options]) -> Client:
    """Make a client of the registry at `url`. Does no I/O towards it: a program starts while its registry is down.

    Args:
        url: ``etcd://host:2379``, ``consul://host:8500``, ``local:``, ``memory:``, ``memory:name`` and so on.
            Default: ``$CALLSHEET_URL``, else ``local:``.
        **options: See `Options`. Durations are seconds.

    Returns:
        A client, best used as a context manager.

    Raises:
        Config: Something is wrong with the URL, an option or the environment.
    """
    return Client(url, **options)


class Client(Connection):
    """A connection to one registry, for any number of threads.

    As a context manager it closes at the end of the block, where a close that takes too long is logged and not
    raised. What is open when the interpreter exits is closed then, within a second.
    """

    __slots__ = ("_callbacks",)

    def __init__(self, url: str | None = None, **options: Unpack[Options]) -> None:
        """Connect; see `connect`."""
        super().__init__(url, **options)
        self._callbacks = Callbacks(self._core)

    def register(
        self,
        service: str,
        port: int,
        address: str | None = None,
        id: str | None = None,
        *,
        scheme: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        weight: int | None = None,
        zone: str | None = None,
        version: str | None = None,
        ttl: float | None = None,
        check: Check | None = None,
        ready: bool = True,
        wait_for_port: bool = False,
        drain: float | None = None,
        on_state: Callable[[State], object] | None = None,
    ) -> Registration:
        """Register an instance and keep it registered.

        Waits for the first try, as long as one request may take: on return the instance is registered, or
        `Registration.last_error` says why not yet, and it goes on trying.

        Args:
            service: 1 to 127 ASCII letters, digits, ``.``, ``_`` and ``-``.
            port: The port that it listens on.
            address: Where others reach it. Default: ``$CALLSHEET_ADDRESS``, else what the registry suggests.
            id: Unique within the service; taken over from whoever holds it. Default: ``address:port``, so that a
                restarted instance replaces itself.
            scheme: How to speak to it. Default: ``http``.
            tags: Labels to filter by, at most 64.
            metadata: Pairs of text, at most 56.
            weight: Its share of calls for weighted policies, 1 to 65535. Default: 1.
            zone: Where it runs, such as an availability zone.
            version: What it runs.
            ttl: Seconds that the registry keeps it without hearing of it, 1 to 86,400. Default: the client's.
            check: How its health is decided: `ttl` (the default), `heartbeat`, `tcp`, `http` or `grpc` of
                this package.
            ready: False publishes nothing until `Registration.ready` is called.
            wait_for_port: Publish only once the port accepts a connection.
            drain: Seconds that closing waits for calls under way. Default: the client's.
            on_state: Called with each state that it enters, the current one first, on the client's callback thread.

        Raises:
            InvalidArgument: An argument is wrong; nothing was done.
            Conflict: This client has a registration of this service and id.
            Closed: The client is closed.
        """
        check_on_state(on_state)
        options = {
            "address": address,
            "id": id,
            "scheme": scheme,
            "tags": tags,
            "metadata": metadata,
            "weight": weight,
            "zone": zone,
            "version": version,
            "ttl": ttl,
            "check": check,
            "ready": ready,
            "wait_for_port": wait_for_port,
            "drain": drain,
        }
        given = {name: value for name, value in options.items() if value is not None}
        core = self._core.register(service, port, given).block()
        _exit.keep(self)
        told = None if on_state is None else self._callbacks.on_state(core, on_state)
        return Registration(self, core, told)

    def registration(self, id: str) -> Registration:
        """The registration of this client with this id.

        Raises:
            NotFound: There is none.
            Conflict: Registrations of several services have this id.
            Closed: The client is closed.
        """
        return Registration(self, self._core.registration(id))

    def deregister(self, id: str) -> None:
        """Close the registration of this client with this id.

        Raises:
            NotFound: There is none.
            Timeout: The registry could not be told within 5 s; the instance goes with its TTL.
            Closed: The client is closed.
        """
        try:
            self._core.registration(id).close().block()
        finally:
            _exit.let_go(self)

    def lookup(
        self,
        service: str,
        *,
        tags: Iterable[str] | None = None,
        zone: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        healthy: bool = True,
    ) -> Snapshot:
        """The instances of a service now. Waits for the first load, then answers from memory.

        Args:
            service: Its name. One that nobody registered has an empty list.
            tags: Only instances with all of these tags.
            zone: Only instances in this zone.
            version: Only instances of this version.
            metadata: Only instances with all of these pairs.
            healthy: False takes instances of every status.

        Raises:
            Unavailable: The registry can't be read, and nothing was read before.
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        return self._core.lookup(service, Filter(tags, zone, version, metadata, healthy)).block()

    def watch(
        self,
        service: str,
        *,
        tags: Iterable[str] | None = None,
        zone: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        healthy: bool = True,
    ) -> Watch:
        """Follow the instances of a service: an iterator of snapshots, the current one first, then one per change.

        It blocks between changes and ends when it or the client is closed, from any thread. It does not fail when the
        registry does: it then yields the same instances as ``stale``. A slow reader sees the latest snapshot only.

        Args:
            service: Its name.
            tags: As for `lookup`, like the rest.

        Raises:
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        return self._core.watch(service, Filter(tags, zone, version, metadata, healthy))

    def on_change(
        self,
        service: str,
        callback: Callable[[Snapshot], object],
        *,
        tags: Iterable[str] | None = None,
        zone: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        healthy: bool = True,
    ) -> Subscription:
        """Call `callback` with the current snapshot of a service, then with each new one.

        In order and one at a time, on a thread that this client keeps for callbacks. One that raises is logged and is
        called again for the next change.

        Args:
            service: Its name.
            callback: Called with a `Snapshot`.
            tags: As for `lookup`, like the rest.

        Returns:
            What stops it when called, or closed.

        Raises:
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        filter = Filter(tags, zone, version, metadata, healthy)
        return self._callbacks.on_change(service, filter, callback)

    def wait_for(
        self,
        service: str,
        count: int = 1,
        timeout: float | None = None,
        *,
        tags: Iterable[str] | None = None,
        zone: str | None = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        healthy: bool = True,
    ) -> Snapshot:
        """Wait until a service has at least `count` instances, and give them back.

        Args:
            service: Its name.
            count: How many.
            timeout: Seconds to wait; None is as long as it takes.
            tags: As for `lookup`, like the rest.

        Raises:
            Timeout: There were not enough by then.
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        filter = Filter(tags, zone, version, metadata, healthy)
        return self._core.wait_for(service, count, timeout, filter).block()

    def services(self) -> list[str]:
        """The names of all services that have an instance, sorted.

        Raises:
            Unavailable: The registry can't be read, and nothing was read before.
            Closed: The client is closed.
        """
        return self._core.services().block()

    def watch_services(self) -> NamesWatch:
        """Follow the names of all services: an iterator of sorted lists, the current one first.

        Raises:
            Closed: The client is closed.
        """
        return self._core.watch_services()

    def picker(
        self,
        service: str,
        policy: Policy = "p2c",
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
    ) -> Picker:
        """Make a load balancer over the instances of a service.

        Waits for the first load, as long as one request may take; a registry that is down leaves the picker empty
        until it is back. Make one and keep it: it learns which instances are fast.

        Args:
            service: Its name.
            policy: ``p2c`` (the better of two, by latency and calls under way), ``least_outstanding`` (the fewest calls
                under way), ``round_robin``, ``weighted`` (each in turn, as often as its weight says), ``random``,
                ``ring_hash`` or ``maglev`` (always the same for the key of a pick).
            tags: As for `lookup`, like zone, version, metadata and healthy.
            prefer_zone: Prefers instances in this zone, as long as they can take their part. Default: none.
            subset: Picks only from so many of the instances, others in each client, so that not all clients keep
                connections to all instances. Default: all.
            client_id: Names this client, such as by its pod, for the same subset after a restart. Default: random.
            ejection: When an instance is not called for a while because calls to it fail; False for never. Needs
                reports. Default: ``Ejection()``.
            panic_threshold: Healthy instances, in percent, below which those that are warning, critical or ejected are
                used too. 0 to 100, 0 for never. Default: 50.
            slow_start: Seconds, up to an hour, in which an instance that comes when others are known gets more and
                more calls until it has its whole share. Default: 0.

        Raises:
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        options = PickerOptions(
            policy,
            tags=tags,
            zone=zone,
            version=version,
            metadata=metadata,
            healthy=healthy,
            prefer_zone=prefer_zone,
            subset=subset,
            client_id=client_id,
            ejection=ejection,
            panic_threshold=panic_threshold,
            slow_start=slow_start,
        )
        return Picker(self._core.picker(service, options).block())

    def ping(self) -> None:
        """Ask the registry something cheap now.

        Raises:
            Unavailable: It can't be reached.
            Timeout: It did not answer in time.
            Unauthenticated: It does not accept the credentials.
            PermissionDenied: It does not allow the question.
            Closed: The client is closed.
        """
        self._core.ping().block()

    def close_on_signals(self) -> None:
        """Close this client on SIGTERM and SIGINT, then let the signal do what it would have done.

        A handler of the program's own runs as before; without one the process ends by the signal, and Ctrl-C raises
        `KeyboardInterrupt`. Ignored signals stay ignored. To be called on the main thread.

        Raises:
            ValueError: Called on another thread.
            Closed: The client is closed.
        """
        self._core.check_open()
        _signals.close_on_signals(self)

    def close(self) -> None:
        """Withdraw every registration, and end every watch and callback. Twice is fine.

        On return no callback runs, except the one that calls this.

        Raises:
            Timeout: A registration could not be withdrawn within 5 s and its drain, or a callback still runs.
            Forked: This was made in the parent process.
        """
        end = time.monotonic() + CLOSE
        failure: Error | None = None
        try:
            self._core.close().block()
        except Forked:
            # Nothing here is this process's to wait for.
            raise
        except Error as error:
            failure = error
        _exit.let_go(self)
        self._callbacks.close(end)
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Timeout as late:
            _log.logger.warning("closing %s: %s", self.source, late)
        except Forked:
            # A child leaves the block that its parent entered; the client is the parent's.
            pass

    def _close_and_wait(self) -> None:
        self.close()
