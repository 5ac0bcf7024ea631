"""Pickers: `pick` is the core's, what waits is awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from callsheet import _callsheet
from callsheet._picker import Tries
from callsheet.aio._opening import Opening

if TYPE_CHECKING:
    from typing_extensions import Self

    from callsheet._callsheet import Call, Pick
    from callsheet._picker import RetryOn
    from callsheet.aio._waits import Waits

T = TypeVar("T")


class Picker(_callsheet.Picker):
    """A load balancer over the current snapshot of a service. `Client.picker` makes it.

    Its length is the number of instances that it picks from now. `pick()` gives a `Pick` at once, and
    ``pick(timeout=…)`` waits for one: it is awaited, or entered with ``async with``. A pick is a context manager,
    with ``async`` or without.
    """

    __slots__ = ("_waits",)

    _waits: Waits

    def __new__(cls, opened: _callsheet.OpenPicker, waits: Waits) -> Self:
        self = super().__new__(cls, opened)
        self._waits = waits
        return self

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def pick(self, timeout: None = None, *, key: str | bytes | None = None) -> Pick: ...

        @overload
        def pick(self, timeout: float, *, key: str | bytes | None = None) -> Opening[Pick]: ...

        def pick(self, timeout: float | None = None, *, key: str | bytes | None = None) -> Any:
            """As of `callsheet.Picker`; with a timeout it is awaited."""

    def _wait(self, call: Call[Pick]) -> Opening[Pick]:
        return Opening(self._waits.run(call))

    async def call(
        self,
        f: Callable[[Pick], Awaitable[T]],
        attempts: int = 1,
        retry_on: RetryOn = None,
        *,
        key: str | bytes | None = None,
    ) -> T:
        """As `callsheet.Picker.call`, with an async function `f`.

        A call that is cancelled, by `asyncio.timeout` around this for example, says nothing about the instance.

        Args:
            f: Called with a `Pick`, and awaited.
            attempts: How many calls in all.
            retry_on: What else than a failure to connect another instance may mend: exception types, or a function
                that says so of an exception.
            key: As for `pick`; another attempt goes to the next instance of the same key.

        Raises:
            NoInstances: There was nothing to pick.
            Exception: What `f` raised last.
        """
        tries = Tries(self, attempts, retry_on, key)
        pick = await self._waits.run(self.picking(None, key))
        while True:
            try:
                with pick:
                    return await f(pick)
            except Exception as error:
                other = tries.after(pick, error)
                if other is None:
                    raise
                pick = other
