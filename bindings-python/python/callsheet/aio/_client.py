"""The client for asyncio: one registry, its registrations, its watched services."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from callsheet import _exit, _log, _signals
from callsheet._callbacks import CLOSE
from callsheet._callsheet import Filter, PickerOptions
from callsheet._connection import Connection, check_on_state
from callsheet._errors import Error, Forked, Timeout
from callsheet.aio._callbacks import Callbacks, Subscription
from callsheet.aio._opening import Opening
from callsheet.aio._picker import Picker
from callsheet.aio._registration import Registration
from callsheet.aio._waits import Waits
from callsheet.aio._watch import NamesWatch, Watch

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from callsheet._callsheet import Snapshot
    from callsheet._types import Filters, Options, PickOptions, Policy, RegisterOptions, State


def connect(url: str | None = None, **options: Unpack[Options]) -> Client:
    """Make a client of the registry at `url`. Not awaited: it does no I/O towards the registry.

    Args:
        url: As for `callsheet.connect`. Default: ``$CALLSHEET_URL``, else ``local:``.
        **options: See `callsheet.Options`. Durations are seconds.

    Returns:
        A client, best used with ``async with``.

    Raises:
        Config: Something is wrong with the URL, an option or the environment.
    """
    return Client(url, **options)


class Client(Connection):
    """A connection to one registry, for one event loop: the one that it is first used on.

    With ``async with`` it closes at the end of the block, where a close that takes too long is logged and not raised.
    What is open when the interpreter exits is closed then, within a second. A coroutine that is cancelled gives up on
    what it asked the core for.
    """

    __slots__ = ("_callbacks", "_closing", "_waits")

    def __init__(self, url: str | None = None, **options: Unpack[Options]) -> None:
        """Connect; see `connect`."""
        super().__init__(url, **options)
        self._waits = Waits(self._core)
        self._callbacks = Callbacks(self._core, self._waits)
        self._closing: asyncio.Task[None] | None = None

    def register(
        self,
        service: str,
        port: int,
        address: str | None = None,
        id: str | None = None,
        *,
        on_state: Callable[[State], object] | None = None,
        **options: Unpack[RegisterOptions],
    ) -> Opening[Registration]:
        """Register an instance and keep it registered: ``await`` this, or ``async with`` it.

        Waits for the first try, as long as one request may take: then the instance is registered, or
        `Registration.last_error` says why not yet, and it goes on trying. Cancelled meanwhile, nothing is registered.

        Args:
            service: 1 to 127 ASCII letters, digits, ``.``, ``_`` and ``-``.
            port: The port that it listens on.
            address: Where others reach it. Default: ``$CALLSHEET_ADDRESS``, else what the registry suggests.
            id: Unique within the service; taken over from whoever holds it. Default: ``address:port``.
            on_state: A plain or async function, called on the loop with each state, the current one first.
            **options: As for `callsheet.Client.register`.

        Raises:
            InvalidArgument: An argument is wrong; nothing was done.
            Conflict: This client has a registration of this service and id.
            Closed: The client is closed.
        """
        return Opening(self._register(service, port, {"address": address, "id": id, **options}, on_state))

    async def _register(
        self, service: str, port: int, options: dict[str, object], on_state: Callable[[State], object] | None
    ) -> Registration:
        check_on_state(on_state)
        given = {name: value for name, value in options.items() if value is not None}
        core = await self._waits.run(self._core.register(service, port, given))
        _exit.keep(self)
        told = None if on_state is None else self._callbacks.on_state(core, on_state)
        return Registration(self, core, told)

    def registration(self, id: str) -> Registration:
        """The registration of this client with this id; see `callsheet.Client.registration`."""
        return Registration(self, self._core.registration(id))

    async def deregister(self, id: str) -> None:
        """Close the registration of this client with this id; see `callsheet.Client.deregister`."""
        try:
            await self._waits.run(self._core.registration(id).close())
        finally:
            _exit.let_go(self)

    async def lookup(self, service: str, **filters: Unpack[Filters]) -> Snapshot:
        """The instances of a service now. Waits for the first load, then answers from memory.

        Args:
            service: Its name. One that nobody registered has an empty list.
            **filters: ``tags``, ``zone``, ``version``, ``metadata`` and ``healthy``: see `Filters`.

        Raises:
            Unavailable: The registry can't be read, and nothing was read before.
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        return await self._waits.run(self._core.lookup(service, Filter(**filters)))

    def watch(self, service: str, **filters: Unpack[Filters]) -> Watch:
        """Follow the instances of a service: an asynchronous iterator of snapshots, the current one first.

        It waits between changes and ends when it or the client is closed. It does not fail when the registry does: it
        then yields the same instances as ``stale``. A slow reader sees the latest snapshot only.

        Args:
            service: Its name.
            **filters: As for `lookup`.

        Raises:
            InvalidArgument: An argument is wrong; raised by this call.
            Closed: The client is closed.
        """
        return Watch(self._waits, self._core.watch(service, Filter(**filters)))

    def on_change(
        self, service: str, callback: Callable[[Snapshot], object], **filters: Unpack[Filters]
    ) -> Subscription:
        """Call `callback` with the current snapshot of a service, then with each new one, on the event loop.

        In order, and one callback of this client at a time: an async one is awaited before the next begins. One that
        raises is logged and is called again for the next change.

        Args:
            service: Its name.
            callback: A plain or async function of a `Snapshot`.
            **filters: As for `lookup`.

        Returns:
            What stops it when called, or closed.

        Raises:
            InvalidArgument: An argument is wrong; raised by this call.
            Closed: The client is closed.
        """
        return self._callbacks.on_change(service, Filter(**filters), callback)

    async def wait_for(
        self, service: str, count: int = 1, timeout: float | None = None, **filters: Unpack[Filters]
    ) -> Snapshot:
        """Wait until a service has at least `count` instances, and give them back.

        Args:
            service: Its name.
            count: How many.
            timeout: Seconds to wait; None is as long as it takes, or as `asyncio.timeout` around it allows.
            **filters: As for `lookup`.

        Raises:
            Timeout: There were not enough by then.
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        return await self._waits.run(self._core.wait_for(service, count, timeout, Filter(**filters)))

    async def services(self) -> list[str]:
        """The names of all services that have an instance, sorted; see `callsheet.Client.services`."""
        return await self._waits.run(self._core.services())

    def watch_services(self) -> NamesWatch:
        """Follow the names of all services: an asynchronous iterator of sorted lists, the current one first.

        Raises:
            Closed: The client is closed; raised by this call.
        """
        return NamesWatch(self._waits, self._core.watch_services())

    async def picker(self, service: str, policy: Policy = "p2c", **options: Unpack[PickOptions]) -> Picker:
        """Make a load balancer over the instances of a service; see `callsheet.Client.picker`.

        Args:
            service: Its name.
            policy: How it chooses.
            **options: As explained there.

        Raises:
            InvalidArgument: An argument is wrong.
            Closed: The client is closed.
        """
        opened = await self._waits.run(self._core.picker(service, PickerOptions(policy, **options)))
        return Picker(opened, self._waits)

    async def ping(self) -> None:
        """Ask the registry something cheap now; see `callsheet.Client.ping` for what it raises."""
        await self._waits.run(self._core.ping())

    def close_on_signals(self) -> None:
        """Close this client on SIGTERM and SIGINT, then let the signal do what it would have done.

        The loop goes on while the client closes. A handler of the program's own runs as before, and so does what
        `asyncio.run` does on Ctrl-C. To be called on the main thread; handlers that `loop.add_signal_handler` sets
        later take the place of this.

        Raises:
            ValueError: Called on another thread.
            Closed: The client is closed.
        """
        self._core.check_open()
        _signals.close_on_signals(self)

    async def close(self) -> None:
        """Withdraw every registration, and end every watch and callback. Twice is fine.

        The loop goes on meanwhile. On return no callback runs, except the one that calls this. Cancelled, it goes on
        in the background.

        Raises:
            Timeout: A registration could not be withdrawn within 5 s and its drain, or a callback still runs.
            Forked: This was made in the parent process.
        """
        end = self._waits.loop().time() + CLOSE
        failure: Error | None = None
        try:
            await self._waits.run(self._core.close())
        except Error as error:
            failure = error
        finally:
            _exit.let_go(self)
            try:
                await self._callbacks.close(end)
            finally:
                self._waits.end()
        if failure is not None:
            raise failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Timeout as late:
            _log.logger.warning("closing %s: %s", self.source, late)
        except Forked:
            # A child leaves the block that its parent entered; the client is the parent's.
            pass

    def _is_on_this_loop(self) -> bool:
        return self._waits.is_on_this_loop()

    def _close_on_this_loop(self, ended: Callable[[], None]) -> None:
        loop = self._waits.loop()

        def begin() -> None:
            self._closing = loop.create_task(self.__aexit__(None, None, None))
            self._closing.add_done_callback(lambda _: ended())

        # From a signal handler: it may have interrupted anything, and the loop may be asleep.
        loop.call_soon_threadsafe(begin)

    def _close_and_wait(self) -> None:
        try:
            self._core.close().block()
        finally:
            _exit.let_go(self)
