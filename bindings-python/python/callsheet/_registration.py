"""A running registration."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from callsheet._callbacks import CLOSE
from callsheet._errors import Error, Forked, Timeout
from callsheet._exit import let_go
from callsheet._log import logger

if TYPE_CHECKING:
    from typing_extensions import Self

    from callsheet import _callsheet
    from callsheet._callbacks import StatesSubscription
    from callsheet._client import Client
    from callsheet._types import State, Status


class Registered:
    """What a registration says and takes without waiting."""

    __slots__ = ("__weakref__", "_core")

    def __init__(self, core: _callsheet.Registration) -> None:
        self._core = core

    @property
    def id(self) -> str:
        """The id under which it is registered.

        It differs from the default one when that belongs to a live process of another machine.
        """
        return self._core.id

    @property
    def instance(self) -> _callsheet.Instance:
        """The instance as it is to be published."""
        return self._core.instance

    @property
    def state(self) -> State:
        """Where it stands: ``pending``, ``registered``, ``lost``, ``refused``, ``superseded`` or ``closed``."""
        return self._core.state

    @property
    def last_error(self) -> Error | None:
        """Why it is not registered, or why the last update did not reach the registry."""
        return self._core.last_error

    def beat(self) -> None:
        """Give the sign of life that ``check=callsheet.heartbeat(interval)`` waits for. Never blocks.

        Raises:
            Closed: The registration is closed.
        """
        self._core.beat()

    def __repr__(self) -> str:
        instance = self.instance
        return f"<Registration {instance.service} {instance.id} {self.state}>"


class Registration(Registered):
    """An instance that stays registered until this is closed, whatever happens to the registry meanwhile.

    `Client.register` makes it. As a context manager it closes at the end of the block, where a close that takes too
    long is logged and not raised.
    """

    __slots__ = ("_client", "_told")

    def __init__(
        self, client: Client, core: _callsheet.Registration, told: StatesSubscription | None = None
    ) -> None:
        super().__init__(core)
        # Holds the client, which stops renewing when nobody holds it.
        self._client = client
        self._told = told

    def ready(self, timeout: float | None = None) -> None:
        """Publish what ``register(ready=False)`` held back, and wait until it is registered.

        Args:
            timeout: Seconds to wait; None is as long as it takes. The end of the wait ends nothing else.

        Raises:
            Timeout: It was not registered by then; it goes on trying.
            Closed: The registration is closed.
        """
        self._core.ready(timeout).block()

    def wait(self, state: State, timeout: float | None = None) -> None:
        """Wait until `state` is reached; being in it already is success.

        Args:
            state: Any of the values of `state`.
            timeout: Seconds to wait; None is as long as it takes.

        Raises:
            Timeout: It was not reached by then. The cause says why.
            Closed: It can't be reached any more.
        """
        self._core.wait(state, timeout).block()

    def update(
        self,
        *,
        metadata: Mapping[str, str] | None = None,
        tags: Iterable[str] | None = None,
        weight: int | None = None,
    ) -> None:
        """Replace metadata, tags or weight without a gap in the registration; None leaves one as it is.

        Returns when the registry has it, or after the first try that failed: then `last_error` says why, and it goes
        on trying.

        Raises:
            InvalidArgument: A value is not allowed; nothing is changed.
            Closed: The registration is closed.
        """
        self._core.update(metadata, tags, weight).block()

    def set_status(self, status: Status, note: str = "") -> None:
        """Set the status by hand; ``passing`` gives it back to the check, and a failing check wins over a better one.

        Args:
            status: ``passing``, ``warning``, ``critical`` or ``draining``.
            note: Why, for people; at most 512 bytes.

        Raises:
            InvalidArgument: There is no such status, or the note is too long.
            Closed: The registration is closed.
        """
        self._core.set_status(status, note).block()

    def drain(self) -> None:
        """Say ``draining``: pickers, watches and lookups skip it from now on, while it finishes its calls.

        Raises:
            Closed: The registration is closed.
        """
        self._core.drain().block()

    def close(self) -> None:
        """Withdraw the instance if it is still this registration's, then wait out the drain. Twice is fine.

        Raises:
            Timeout: The registry could not be told within 5 s, so that the instance goes with its TTL; or the
                `on_state` callback still runs.
            Forked: This was made in the parent process.
        """
        try:
            self._core.close().block()
        finally:
            let_go(self._client)
        if self._told is not None:
            self._told.end(time.monotonic() + CLOSE)
            self._told = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Timeout as late:
            logger.warning("closing a registration: %s", late)
        except Forked:
            # A child leaves the block that its parent entered; the instance is the parent's.
            pass
