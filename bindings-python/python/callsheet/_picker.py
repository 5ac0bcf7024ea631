"""Pickers: `pick` is the core's; `call` is here because it is about Python's exceptions."""

from __future__ import annotations

import errno
import re
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from callsheet import _callsheet

if TYPE_CHECKING:
    from callsheet._callsheet import Call, Pick

T = TypeVar("T")

RetryOn: TypeAlias = (
    type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool] | None
)

# No connection came about, so the call had no effect. ETIMEDOUT is not here: it can also end an established one.
_UNCONNECTED = {
    errno.ECONNREFUSED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.EADDRNOTAVAIL,
}


class Picker(_callsheet.Picker):
    """A load balancer over the current snapshot of a service. `Client.picker` makes it.

    Its length is the number of instances that it picks from now.
    """

    __slots__ = ()

    def _wait(self, call: Call[Pick]) -> Pick:
        return call.block()

    def call(self, f: Callable[[Pick], T], attempts: int = 1, retry_on: RetryOn = None) -> T:
        """Pick an instance, call `f` with the pick, report how that went, and give back what `f` gave.

        After a failure to connect it tries another instance. Any other failure may have had an effect and is raised.
        Failures to connect are found in causes and in what libraries wrap, such as requests, urllib3 and httpx.
        Waits for a first instance as long as one request may take.

        Args:
            f: Called with a `Pick`, which has url, address, port and id.
            attempts: How many calls in all.
            retry_on: What else another instance may mend, for calls that can be repeated safely: exception types, or
                a function that says so of an exception.

        Raises:
            NoInstances: There was nothing to pick.
            Exception: What `f` raised last.
        """
        handled = sys.exc_info()[1]
        left = attempts
        pick = self.picking(None).block()
        while True:
            left -= 1
            try:
                with pick:
                    return f(pick)
            except Exception as error:
                if left <= 0 or not another_may_mend(error, handled, retry_on):
                    raise
                pick = self.pick_other(pick.id)


def another_may_mend(error: Exception, handled: BaseException | None, retry_on: RetryOn) -> bool:
    """Whether to call another instance after `error`; `handled` is what was being handled before the call."""
    if _unconnected(error, handled):
        return True
    if retry_on is None:
        return False
    if isinstance(retry_on, (type, tuple)):
        return isinstance(error, retry_on)
    return bool(retry_on(error))


def _unconnected(error: BaseException, handled: BaseException | None) -> bool:
    """Whether `error`, or what it wraps, says that no connection was made."""
    seen = {id(handled)}  # what was being handled before the call is a context, but no cause of its
    todo = [error]
    while todo:
        error = todo.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(error, socket.gaierror):
            return True
        if isinstance(error, OSError) and error.errno in _UNCONNECTED:
            return True
        if isinstance(error, ConnectionRefusedError) or _all_unconnected(error):
            return True
        todo.extend(_wrapped(error))
    return False


def _all_unconnected(error: BaseException) -> bool:
    """Whether it is what asyncio raises when a name has several addresses and none of them could be reached."""
    if not isinstance(error, OSError) or not str(error).startswith("Multiple exceptions: "):
        return False
    numbers = re.findall(r"\[Errno (\d+)\]", str(error))
    return bool(numbers) and all(int(number) in _UNCONNECTED for number in numbers)


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """What an exception wraps: Python's chain, `reason` of urllib and urllib3, the arguments of requests."""
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__
    for value in (getattr(error, "reason", None), *error.args):
        if isinstance(value, BaseException):
            yield value
