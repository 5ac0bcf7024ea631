"""A running registration, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from callsheet._callbacks import CLOSE
from callsheet._errors import Forked, Timeout
from callsheet._exit import let_go
from callsheet._log import logger
from callsheet._registration import Registered

if TYPE_CHECKING:
    from typing_extensions import Self

    from callsheet import _callsheet
    from callsheet._types import State, Status
    from callsheet.aio._callbacks import StatesSubscription
    from callsheet.aio._client import Client


class Registration(Registered):
    """An instance that stays registered until this is closed, whatever happens to the registry meanwhile.

    `Client.register` makes it. As an asynchronous context manager it closes at the end of the block, where a close
    that takes too long is logged and not raised.
    """

    __slots__ = ("_client", "_told")

    def __init__(
        self, client: Client, core: _callsheet.Registration, told: StatesSubscription | None = None
    ) -> None:
        super().__init__(core)
        # Holds the client, which stops renewing when nobody holds it.
        self._client = client
        self._told = told

    async def ready(self, timeout: float | None = None) -> None:
        """Publish what ``register(ready=False)`` held back, and wait until it is registered.

        Args:
            timeout: Seconds to wait; None is as long as it takes. The end of the wait ends nothing else, and neither
                does its cancellation.

        Raises:
            Timeout: It was not registered by then; it goes on trying.
            Closed: The registration is closed.
        """
        await self._client._waits.run(self._core.ready(timeout))

    async def wait(self, state: State, timeout: float | None = None) -> None:
        """Wait until `state` is reached; being in it already is success. See `callsheet.Registration.wait`."""
        await self._client._waits.run(self._core.wait(state, timeout))

    async def update(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Iterable[str] | None = None,
        weight: int | None = None,
    ) -> None:
        """Replace metadata, tags or weight without a gap; see `callsheet.Registration.update`.

        Once begun the change is made even if this is cancelled.
        """
        await self._client._waits.run(self._core.update(metadata, tags, weight))

    async def set_status(self, status: Status, note: str = "") -> None:
        """Set the status by hand; see `callsheet.Registration.set_status`."""
        await self._client._waits.run(self._core.set_status(status, note))

    async def drain(self) -> None:
        """Say ``draining``: pickers, watches and lookups skip it from now on, while it finishes its calls.

        Raises:
            Closed: The registration is closed.
        """
        await self._client._waits.run(self._core.drain())

    async def close(self) -> None:
        """Withdraw the instance if it is still this registration's, then wait out the drain. Twice is fine.

        It goes on in the background if this is cancelled.

        Raises:
            Timeout: The registry could not be told within 5 s, so that the instance goes with its TTL; or the
                `on_state` callback still runs.
            Forked: This was made in the parent process.
        """
        try:
            await self._client._waits.run(self._core.close())
        finally:
            let_go(self._client)
        told, self._told = self._told, None
        if told is not None:
            await told.end(asyncio.get_running_loop().time() + CLOSE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except Timeout as late:
            logger.warning("closing a registration: %s", late)
        except Forked:
            # A child leaves the block that its parent entered; the instance is the parent's.
            pass
