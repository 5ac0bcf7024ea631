"""Watches: asynchronous iterators of snapshots, and of the names of all services."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from callsheet._callsheet import Snapshot
from callsheet._errors import Forked

if TYPE_CHECKING:
    from typing_extensions import Self

    from callsheet import _callsheet
    from callsheet._callsheet import Call
    from callsheet.aio._waits import Waits

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class _Core(Protocol[T_co]):
    def _next(self) -> Call[T_co | None]: ...

    def close(self) -> None: ...


class Following(Generic[T]):
    """An asynchronous iterator over what the core follows."""

    __slots__ = ("__weakref__", "_core", "_waits")

    def __init__(self, waits: Waits, core: _Core[T]) -> None:
        self._waits = waits
        self._core: _Core[T] = core

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        following = await self._waits.run(self._core._next())
        if following is None:
            raise StopAsyncIteration
        return following

    def close(self) -> None:
        """End it; every task that waits for what comes next sees the end. Dropping it ends it too.

        Raises:
            Forked: This was made in the parent process.
        """
        self._core.close()

    async def aclose(self) -> None:
        """End it, as `close` does: for `contextlib.aclosing`. There is nothing to wait for."""
        self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._core.close()
        except Forked:
            pass


class Watch(Following[Snapshot]):
    """Snapshots of a service: the current one first, then one per change, the latest only.

    It ends when it or the client is closed. A read that is cancelled takes nothing away from the next one.
    """

    __slots__ = ()

    _core: _callsheet.Watch

    @property
    def skipped(self) -> int:
        """How many snapshots came and went without being read."""
        return self._core.skipped

    @property
    def closed(self) -> bool:
        """Whether it was closed, by itself or with its client."""
        return self._core.closed

    def __repr__(self) -> str:
        return repr(self._core)


class NamesWatch(Following[list[str]]):
    """The names of all services: the sorted list, the current one first, then one per change."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<NamesWatch>"
