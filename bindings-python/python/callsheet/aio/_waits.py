"""What one client waits for, on its event loop.

The core rings a descriptor that the loop watches, once for all that came since the loop last looked: there is no thread
between the two, and no thread of the core's takes the GIL.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from callsheet._callsheet import Wakes

if TYPE_CHECKING:
    from callsheet import _callsheet
    from callsheet._callsheet import Call

T = TypeVar("T")


class Waits:
    """The calls of one client that have not answered yet, on the loop of its first use."""

    __slots__ = ("__weakref__", "_attached", "_core", "_ended", "_loop", "_process", "_wakes", "_woken")

    def __init__(self, core: _callsheet.Client) -> None:
        self._core = core
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakes: Wakes | None = None
        self._woken: dict[int, Callable[[], object]] = {}
        self._attached = False
        self._ended = False
        self._process = os.getpid()

    async def run(self, call: Call[T]) -> T:
        """The answer of `call`. Whoever gives up on this gives up on the call."""
        loop = self.loop()
        answer = self.poll(call, _nothing)
        if answer is not None:
            return answer[0]
        try:
            while answer is None:
                turn = loop.create_future()
                # Asked again when the turn comes and not before: an answer that nobody takes is the core's to undo.
                self._woken[call.number] = functools.partial(_give, turn)
                await turn
                answer = call.poll(self.wakes())
            return answer[0]
        finally:
            self._woken.pop(call.number, None)
            call.cancel()
            self._detach_if_ended()

    def poll(self, call: Call[T], woken: Callable[[], object]) -> tuple[T] | None:
        """The answer of `call` in a tuple, or None; then `woken` is called when it is to be asked for again."""
        answer = call.poll(self.wakes())
        if answer is None:
            self._woken[call.number] = woken
            self._attach()
        elif self._woken:
            self._woken.pop(call.number, None)
        return answer

    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop, which the client belongs to from now on.

        Raises:
            RuntimeError: None is running, or the client belongs to another one.
        """
        running = asyncio.get_running_loop()
        if running is self._loop:
            return running
        if self._loop is not None or self._process != os.getpid():
            self._core.stats()  # of a fork this says so, and better
            raise RuntimeError(
                "this client belongs to another event loop, the first that it was used on: make one for each loop"
            )
        self._loop = running
        return running

    def is_on_this_loop(self) -> bool:
        """Whether the client's loop runs on this thread."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def wakes(self) -> Wakes:
        if self._wakes is None:
            self._wakes = _wakes_for(self.loop())
        return self._wakes

    def look(self) -> None:
        """Give their turn to the calls that have news."""
        if self._wakes is None:
            return
        for number in self._wakes.take():
            woken = self._woken.get(number)
            if woken is not None:
                woken()

    def end(self) -> None:
        """The client is closed: stop watching as soon as every call has answered."""
        self._ended = True
        self.look()
        self._detach_if_ended()

    def _attach(self) -> None:
        if self._attached or self._loop is None or self._wakes is None:
            return
        self._attached = True
        # Weakly: a client that nobody holds goes, although the loop would hold what it is to call.
        known = weakref.ref(self)
        descriptor = self._wakes.fileno()
        if descriptor is not None:
            self._loop.add_reader(descriptor, _look, known)
        else:
            arguments = (self._wakes, self._loop, known)
            threading.Thread(target=_ring, args=arguments, name="callsheet-wakes", daemon=True).start()

    def _detach_if_ended(self) -> None:
        if self._ended and not self._woken:
            self._detach()

    def _detach(self) -> None:
        if not self._attached or self._loop is None or self._wakes is None:
            return
        self._attached = False
        if self._process != os.getpid() or self._loop.is_closed():
            # What the loop polls with is the parent's as well, or gone already; a thread sees that by itself.
            self._wakes.end()
        elif self._wakes.fileno() is None:
            self._wakes.end()
        elif self.is_on_this_loop():
            _forget(self._loop, self._wakes)
        else:
            try:
                self._loop.call_soon_threadsafe(_forget, self._loop, self._wakes)
            except RuntimeError:
                pass  # closed meanwhile

    def __del__(self) -> None:
        self._detach()


def _wakes_for(loop: asyncio.AbstractEventLoop) -> Wakes:
    """With a descriptor, or where the loop can't watch one (Windows) for a thread that rings with `_ring`."""
    try:
        wakes = Wakes(True)
        loop.remove_reader(wakes.fileno() or 0)
    except NotImplementedError:
        return Wakes(False)
    return wakes


def _forget(loop: asyncio.AbstractEventLoop, wakes: Wakes) -> None:
    """Stop watching; `wakes` keeps the descriptor open until here, so that its number is nobody else's."""
    descriptor = wakes.fileno()
    if descriptor is not None:
        loop.remove_reader(descriptor)


def _ring(wakes: Wakes, loop: asyncio.AbstractEventLoop, known: weakref.ref[Waits]) -> None:
    """Call the loop once for all that came since it last looked, until the end of either."""
    while wakes.wait():
        try:
            loop.call_soon_threadsafe(_look, known)
        except RuntimeError:
            return


def _look(known: weakref.ref[Waits]) -> None:
    waits = known()
    if waits is not None:
        waits.look()


def _give(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _nothing() -> None:
    pass
