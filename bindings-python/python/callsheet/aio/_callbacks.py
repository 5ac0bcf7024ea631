"""Callbacks on the event loop, plain and async functions alike: in order, one at a time."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

from callsheet import _callbacks
from callsheet._callbacks import CLOSE, Functions
from callsheet._errors import Forked, Timeout
from callsheet._log import logger

if TYPE_CHECKING:
    from typing_extensions import Self

    from callsheet import _callsheet
    from callsheet._callsheet import Call, Job
    from callsheet._types import State
    from callsheet.aio._waits import Waits

#: How many callbacks run before the loop looks after others.
_TURN: Final = 64

# The async callback that this task, or one that it started, is a part of.
_inside: contextvars.ContextVar[_Running | None] = contextvars.ContextVar("callsheet_callback", default=None)


class _Running:
    """An async callback that has not returned yet."""

    __slots__ = ("number", "task")

    def __init__(self, number: int) -> None:
        self.number = number
        self.task: asyncio.Task[None] | None = None


class Callbacks(Functions):
    """The callbacks of one client."""

    def __init__(self, core: _callsheet.Client, waits: Waits) -> None:
        super().__init__(core)
        self._waits = waits
        self._dispatcher: _callsheet.Dispatcher | None = None
        self._next: Call[Job | None] | None = None
        self._running: _Running | None = None
        # Callbacks of registrations that have not been told `closed` yet.
        self._states: set[StatesSubscription] = set()

    def on_change(
        self, service: str, filter: _callsheet.Filter, function: Callable[[_callsheet.Snapshot], object]
    ) -> Subscription:
        subscribe = functools.partial(self._core.subscribe, service, filter)
        return Subscription(self, *self._subscribe(function, subscribe))

    def on_state(
        self, registration: _callsheet.Registration, function: Callable[[State], object]
    ) -> StatesSubscription:
        told = asyncio.Event()

        def tell(state: State) -> object:
            done = told.set if state == "closed" else _nothing
            try:
                result = function(state)
            except BaseException:
                done()
                raise
            if inspect.isawaitable(result):
                return _then(result, done)
            done()
            return None

        subscribe = functools.partial(self._core.subscribe_states, registration)
        subscription = StatesSubscription(self, *self._subscribe(tell, subscribe), told)
        self._states.add(subscription)
        return subscription

    def _start(self) -> None:
        loop = self._waits.loop()
        if self._dispatcher is None:
            self._dispatcher = self._core.dispatcher()
            # After the subscription that this is for.
            loop.call_soon(_serve, weakref.ref(self))

    def serve(self) -> None:
        """Run what is to be called now, unless an async callback runs: then its end goes on with this."""
        for _ in range(_TURN):
            if self._dispatcher is None or self._running is not None:
                return
            if self._next is None:
                self._next = self._dispatcher.next()
            answer = self._waits.poll(self._next, functools.partial(_serve, weakref.ref(self)))
            if answer is None:
                return
            self._next = None
            (job,) = answer
            if job is None:
                self._dispatcher = None
                return
            self._call(job)
        self._waits.loop().call_soon(_serve, weakref.ref(self))

    def _call(self, job: Job) -> None:
        result = None
        try:
            function = self._functions.get(job.token)
            if function is not None and not job.cancelled:
                result = function(job.argument())
                if inspect.isawaitable(result):
                    self._running = running = _Running(job.token)
                    running.task = self._waits.loop().create_task(self._await(job, result, running))
        except (KeyboardInterrupt, SystemExit) as error:
            # Raised from the loop, but not past the other callbacks.
            self._waits.loop().call_soon(_raise, error)
        except BaseException:
            _callbacks.report_failure(self._core)
        finally:
            if self._running is None:
                job.finish()

    async def _await(self, job: Job, result: Awaitable[object], running: _Running) -> None:
        _inside.set(running)
        try:
            await result
        except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
            raise
        except BaseException:
            _callbacks.report_failure(self._core)
        finally:
            self._running = None
            job.finish()
            self._waits.loop().call_soon(_serve, weakref.ref(self))

    def is_inside(self) -> bool:
        """Whether the async callback that runs is what calls this."""
        return self._running is not None and _inside.get() is self._running

    async def quiet(self, number: int | None, limit: float) -> None:
        """Until no callback runs, or not that of `number`. One that waits for itself does not."""
        running = self._running
        if running is None or running.task is None or self.is_inside():
            return
        if number is not None and number != running.number:
            return
        _, late = await asyncio.wait({running.task}, timeout=limit)
        if late:
            raise Timeout(f"a callback still runs after {limit:.3g} s; it is not called again when it ends")

    async def close(self, end: float) -> None:
        """End them all, at the time `end` of the loop at the latest; what closed is told until then."""
        loop = self._waits.loop()
        try:
            for subscription in list(self._states):
                await subscription.wait_until_told(end)
        finally:
            self._states.clear()
            self._core.dispatcher().close(0.0)
            self._functions.clear()
        await self.quiet(None, max(end - loop.time(), 0.5))


def _serve(known: weakref.ref[Callbacks]) -> None:
    callbacks = known()
    if callbacks is not None:
        callbacks.serve()


async def _then(result: Awaitable[object], done: Callable[[], None]) -> None:
    try:
        await result
    finally:
        done()


def _nothing() -> None:
    pass


def _raise(error: BaseException) -> None:
    raise error


class Subscription:
    """A callback that is called until it is stopped: by calling this, `close`, or the end of an ``async with`` block.

    Dropping it does not stop it; it goes with its client, which the program has to hold as it does any other task's.
    """

    __slots__ = ("__weakref__", "_callbacks", "_id", "_number")

    def __init__(self, callbacks: Callbacks, id: int, number: int) -> None:
        self._callbacks = callbacks
        self._id = id
        self._number = number

    def __call__(self) -> None:
        """Stop calling: no call begins after this. An async callback that runs goes on; `close` waits for it.

        Raises:
            Forked: This was made in the parent process.
        """
        self._callbacks.cancel(self._id, self._number, 0.0)

    async def close(self) -> None:
        """Stop calling. On return the callback neither runs nor will, unless it is the callback that calls this.

        Raises:
            Timeout: The callback still runs after 5 s; it is not called again.
            Forked: This was made in the parent process.
        """
        self()
        await self._callbacks.quiet(self._number, CLOSE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Timeout as late:
            logger.warning("stopping a callback: %s", late)
        except Forked:
            pass


class StatesSubscription(Subscription):
    """The callback of a registration, which is to hear of its end too."""

    __slots__ = ("_told",)

    def __init__(self, callbacks: Callbacks, id: int, number: int, told: asyncio.Event) -> None:
        super().__init__(callbacks, id, number)
        self._told = told

    async def wait_until_told(self, end: float) -> None:
        # The callback that closes would wait for itself.
        if self._told.is_set() or self._callbacks.is_inside():
            return
        left = end - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._told.wait(), max(left, 0.0))
        except asyncio.TimeoutError:
            pass

    async def end(self, end: float) -> None:
        """After the registration has closed: let the callback hear of it, then stop."""
        await self.wait_until_told(end)
        self._callbacks._states.discard(self)
        if not self._callbacks.is_inside():
            self()
            await self._callbacks.quiet(self._number, max(end - asyncio.get_running_loop().time(), 0.0))
