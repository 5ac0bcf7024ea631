"""Callbacks on one thread per client: the core decides what runs next, this brings the thread and the functions."""

from __future__ import annotations

import functools
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from callsheet._errors import Forked, Internal, Timeout
from callsheet._log import logger

if TYPE_CHECKING:
    from typing_extensions import Self

    from callsheet import _callsheet
    from callsheet._types import State

#: How long closing waits for a callback that runs, in seconds.
CLOSE: Final = 5.0

# With their numbers, which are all that the core knows of them.
_Functions = dict[int, Callable[[Any], object]]

# Those with a function that may be called: dropping a subscription does not stop it, nor does dropping its client.
_subscribed: set[Callbacks] = set()


class Functions:
    """The functions of one client's callbacks, by number."""

    def __init__(self, core: _callsheet.Client) -> None:
        self._core = core
        self._functions: _Functions = {}
        self._numbers = itertools.count(1)

    def _subscribe(
        self, function: Callable[[Any], object], subscribe: Callable[[int], int]
    ) -> tuple[int, int]:
        """What `subscribe` makes of the number of `function`, and the number."""
        if not callable(function):
            raise TypeError(f"a callback must be callable, not {type(function).__name__}")
        self._start()
        number = next(self._numbers)
        self._functions[number] = function
        try:
            return subscribe(number), number
        except BaseException:
            del self._functions[number]
            raise

    def _start(self) -> None:
        """See that functions are called."""
        raise NotImplementedError

    def cancel(self, id: int, number: int, limit: float) -> None:
        try:
            self._core.dispatcher().cancel(id, limit)
        finally:
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._functions.pop(number, None)


class Callbacks(Functions):
    """The callbacks of one client, on a thread."""

    def __init__(self, core: _callsheet.Client) -> None:
        super().__init__(core)
        self._dispatcher: _callsheet.Dispatcher | None = None
        self._threads: dict[str, threading.Thread] = {}
        # Callbacks of registrations that have not been told `closed` yet.
        self._states: dict[threading.Event, StatesSubscription] = {}

    def on_change(
        self, service: str, filter: _callsheet.Filter, function: Callable[[_callsheet.Snapshot], object]
    ) -> Subscription:
        subscribe = functools.partial(self._core.subscribe, service, filter)
        return Subscription(self, *self._subscribe(function, subscribe))

    def on_state(
        self, registration: _callsheet.Registration, function: Callable[[State], object]
    ) -> StatesSubscription:
        told = threading.Event()

        def tell(state: State) -> None:
            try:
                function(state)
            finally:
                if state == "closed":
                    told.set()
                    if (subscription := self._states.pop(told, None)) is not None:
                        self._forget(subscription._number)

        subscribe = functools.partial(self._core.subscribe_states, registration)
        subscription = StatesSubscription(self, *self._subscribe(tell, subscribe), told)
        self._states[told] = subscription
        if told.is_set():
            self._states.pop(told, None)
        return subscription

    def _subscribe(
        self, function: Callable[[Any], object], subscribe: Callable[[int], int]
    ) -> tuple[int, int]:
        subscribed = super()._subscribe(function, subscribe)
        _subscribed.add(self)
        return subscribed

    def _forget(self, number: int) -> None:
        super()._forget(number)
        if not self._functions:
            _subscribed.discard(self)

    def _start(self) -> None:
        if self._threads:
            return
        dispatcher = self._core.dispatcher()
        # The thread knows the client weakly: one that nobody holds any more ends, and the thread with it.
        arguments = (dispatcher, self._functions, weakref.ref(self._core))
        thread = threading.Thread(target=_serve, args=arguments, name="callsheet-callbacks", daemon=True)
        # Without a lock, which a fork could leave locked; of two threads that get here one wins.
        if self._threads.setdefault("one", thread) is not thread:
            return
        self._dispatcher = dispatcher
        try:
            thread.start()
        except RuntimeError as error:
            del self._threads["one"]
            raise Internal("can't start the callback thread (see `ulimit -u`)") from error

    def on_this_thread(self) -> bool:
        return threading.current_thread() in self._threads.values()

    def close(self, end: float) -> None:
        """End them all, at the time `end` of the monotonic clock at the latest; what closed is told until then."""
        for subscription in list(self._states.values()):
            subscription.wait_until_told(end)
        try:
            self._core.dispatcher().close(max(end - time.monotonic(), 0.5))
        finally:
            self._functions.clear()
            _subscribed.discard(self)
            # Nobody is told any more, and another thread that closes at the same time must not wait for it.
            for subscription in list(self._states.values()):
                subscription.told.set()
            self._states.clear()


def _serve(
    dispatcher: _callsheet.Dispatcher, functions: _Functions, core: weakref.ref[_callsheet.Client]
) -> None:
    """Run callbacks until the dispatcher is closed.

    A Python frame, so that none of Rust's is below a callback that runs while the interpreter ends.
    """
    while (job := dispatcher.next().block()) is not None:
        try:
            function = functions.get(job.token)
            if function is not None and not job.cancelled:
                function(job.argument())
        except BaseException:
            report_failure(core())
        finally:
            job.finish()
        del job, function


def report_failure(core: _callsheet.Client | None) -> None:
    """Say that a callback raised the exception that is being handled."""
    logger.exception("a callback raised; it is called again for the next change")
    if core is not None:
        core.count_callback_failure()


class Subscription:
    """A callback that is called until it is stopped: by calling this, `close`, or the end of a ``with`` block.

    Dropping it does not stop it.
    """

    __slots__ = ("__weakref__", "_callbacks", "_id", "_number")

    def __init__(self, callbacks: Callbacks, id: int, number: int) -> None:
        self._callbacks = callbacks
        self._id = id
        self._number = number

    def close(self) -> None:
        """Stop calling. On return the callback neither runs nor will, unless it is the callback that calls this.

        Raises:
            Timeout: The callback still runs after 5 s; it is not called again.
            Forked: This was made in the parent process.
        """
        self._callbacks.cancel(self._id, self._number, CLOSE)

    def __call__(self) -> None:
        """Stop calling; the same as `close`."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Timeout as late:
            logger.warning("stopping a callback: %s", late)
        except Forked:
            pass

    def __repr__(self) -> str:
        return (
            "<Subscription closed>"
            if self._number not in self._callbacks._functions
            else "<Subscription open>"
        )


class StatesSubscription(Subscription):
    """The callback of a registration, which is to hear of its end too."""

    __slots__ = ("told",)

    def __init__(self, callbacks: Callbacks, id: int, number: int, told: threading.Event) -> None:
        super().__init__(callbacks, id, number)
        self.told = told

    def wait_until_told(self, end: float) -> None:
        # The thread that runs callbacks would wait for itself.
        if not self._callbacks.on_this_thread():
            self.told.wait(max(end - time.monotonic(), 0))

    def end(self, end: float) -> None:
        """After the registration has closed: let the callback hear of it, then stop."""
        self.wait_until_told(end)
        if not self._callbacks.on_this_thread():
            self._callbacks.cancel(self._id, self._number, max(end - time.monotonic(), 0))
