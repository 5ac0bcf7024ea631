"""Pickers: `pick` is the core's; `call` is here because it is about Python's exceptions."""

from __future__ import annotations

import errno
import re
import socket
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from callsheet import _callsheet
from callsheet._errors import InvalidArgument, NoInstances

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

# What libraries call it when connecting took too long: requests and httpx, urllib3, aiohttp.
_CONNECT_TIMEOUTS = {"ConnectTimeout", "ConnectTimeoutError", "ConnectionTimeoutError"}


class Picker(_callsheet.Picker):
    """A load balancer over the current snapshot of a service. `Client.picker` makes it.

    Its length is the number of instances that it picks from now.
    """

    __slots__ = ()

    def _wait(self, call: Call[Pick]) -> Pick:
        return call.block()

    def call(
        self,
        f: Callable[[Pick], T],
        attempts: int = 1,
        retry_on: RetryOn = None,
        *,
        key: str | bytes | None = None,
    ) -> T:
        """Pick an instance, call `f` with the pick, report how that went, and give back what `f` gave.

        After a failure to connect it tries another instance. Any other failure may have had an effect and is raised.
        Failures to connect are found in causes and in what libraries wrap, such as requests, urllib3 and httpx.
        Waits for a first instance as long as one request may take.

        Args:
            f: Called with a `Pick`, which has url, address, port and id.
            attempts: How many calls in all.
            retry_on: What else another instance may mend, for calls that can be repeated safely: exception types, or
                a function that says so of an exception.
            key: As for `pick`; another attempt goes to the next instance of the same key.

        Raises:
            NoInstances: There was nothing to pick.
            Exception: What `f` raised last.
        """
        tries = Tries(self, attempts, retry_on, key)
        pick = self.picking(None, key).block()
        while True:
            try:
                with pick:
                    return f(pick)
            except Exception as error:
                other = tries.after(pick, error)
                if other is None:
                    raise
                pick = other


class Tries:
    """Whom one `call` has tried, and who is next."""

    def __init__(
        self, picker: _callsheet.Picker, attempts: int, retry_on: RetryOn, key: str | bytes | None
    ) -> None:
        _check(attempts, retry_on)
        self._key = key
        self._picker = picker
        self._attempts = attempts
        self._retry_on = retry_on
        # What was being handled before the call is a context of its errors, but no cause.
        self._handled = sys.exc_info()[1]
        self._tried: list[str] = []

    def after(self, pick: Pick, error: Exception) -> Pick | None:
        """Another instance that may mend `error`, which a call to `pick` raised; None when that is to be raised."""
        self._tried.append(pick.id)
        if len(self._tried) >= self._attempts or not self._may_be_mended(error):
            return None
        try:
            return self._picker.pick_other(self._tried, self._key)
        except NoInstances:
            # All have gone meanwhile, of which the call's own error says more.
            return None

    def _may_be_mended(self, error: Exception) -> bool:
        if _unconnected(error, self._handled):
            return True
        if self._retry_on is None:
            return False
        if isinstance(self._retry_on, (type, tuple)):
            return isinstance(error, self._retry_on)
        return bool(self._retry_on(error))


def _check(attempts: object, retry_on: Any) -> None:
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        raise TypeError(f"attempts must be an int, not {type(attempts).__name__}")
    if attempts < 1:
        raise InvalidArgument(f"attempts {attempts} is not allowed: use 1 or more")
    kinds = retry_on if isinstance(retry_on, tuple) else (retry_on,)
    if retry_on is None or all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        return
    if isinstance(retry_on, type) or not callable(retry_on):
        raise TypeError("retry_on must be an exception type, a tuple of such, or a function of an exception")


def _unconnected(error: BaseException, handled: BaseException | None) -> bool:
    """Whether `error`, or what it wraps, says that no connection was made."""
    seen = {id(handled)}
    todo = [error]
    while todo:
        error = todo.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(error, socket.gaierror) or _CONNECT_TIMEOUTS & {
            kind.__name__ for kind in type(error).__mro__
        }:
            return True
        parts = getattr(error, "exceptions", ())  # of an exception group
        if parts and all(_unconnected(part, handled) for part in parts):
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
