"""What clients are made of, whether they block or are awaited: a connection, and what it says without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from callsheet import _callsheet, _exit, _log

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from callsheet._types import Options, Stats


class Connection:
    """A connection to one registry."""

    __slots__ = ("__weakref__", "_core")

    def __init__(self, url: str | None = None, **options: Unpack[Options]) -> None:
        """Connect; see `connect`."""
        _log.capture()
        given = {name: value for name, value in options.items() if value is not None}
        self._core = _callsheet.Client(url, given)
        _exit.close_at_exit(self)

    @property
    def source(self) -> str:
        """The registry's URL, without secrets."""
        return self._core.source

    @property
    def url(self) -> str:
        """The same as `source`."""
        return self._core.source

    @property
    def closed(self) -> bool:
        """Whether it was closed, or belongs to the parent of this forked process."""
        return self._core.is_closed

    def stats(self) -> Stats:
        """What this client has done and holds. Works on a closed client too."""
        return cast("Stats", self._core.stats())

    def _is_on_this_loop(self) -> bool:
        """Whether the event loop that runs on this thread is the one that this client belongs to."""
        return False

    def _close_on_this_loop(self, ended: Callable[[], None]) -> None:
        """Begin to close; `ended` is called when that has ended."""
        raise NotImplementedError

    def _close_and_wait(self) -> None:
        """Close while this thread waits."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<Client {self.source} {'closed' if self.closed else 'open'}>"


def check_on_state(on_state: Callable[[Any], object] | None) -> None:
    """Refuse what cannot be called before anything is registered."""
    if on_state is not None and not callable(on_state):
        raise TypeError(f"on_state must be callable, not {type(on_state).__name__}")
