"""The driver of `callsheet.aio`: each request of the engine as the call that it stands for, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import inspect
import json
import pathlib
import sys
import time
from typing import Any

import callsheet
import callsheet.aio

# What does not wait is the same in both: how a snapshot is written, and the verbs that are asked for at once.
_spec = importlib.util.spec_from_file_location(
    "synchronous", pathlib.Path(__file__).parents[1] / "python/driver.py"
)
assert _spec and _spec.loader
synchronous = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(synchronous)

#: The longest line: a value that is refused for its size is in it.
LINE = 1 << 26


class Registration:
    """A registration, and the states it was in."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.it: Any = None

    async def open(self, client: callsheet.aio.Client, arguments: dict[str, Any]) -> Registration:
        if check := arguments.pop("check", None):
            arguments["check"] = getattr(callsheet, check.pop("kind"))(**check)
        self.it = await client.register(**arguments, on_state=self.states.append)
        return self


class Reader:
    """A watch, and the read of it that has not come to its end yet."""

    def __init__(self, watch: callsheet.aio.Watch | callsheet.aio.NamesWatch) -> None:
        self.watch, self.last, self.pending = watch, None, None
        self.close = watch.aclose

    async def read(self, timeout: float) -> dict[str, Any] | None:
        """The next snapshot or list of names; None when none came in time."""
        self.pending = self.pending or asyncio.ensure_future(anext(self.watch, None))
        if not (await asyncio.wait({self.pending}, timeout=timeout))[0]:
            return None
        value, self.pending = self.pending.result(), None
        if value is None:
            return {"ended": True}
        if isinstance(value, list):
            return {"names": value}
        previous, self.last = self.last, value
        return synchronous.snapshot(value, previous) | {"skipped": self.watch.skipped > 0}


class Callback:
    """A callback that records its calls."""

    def __init__(self, client, service, filter, raises, closes) -> None:
        self.calls: list[dict[str, Any]] = []
        self.last, self.closed = None, None
        self.client, self.raises, self.closes = client, raises, closes
        self.subscription = client.on_change(service, self.call, **filter)

    async def call(self, seen: callsheet.Snapshot) -> None:
        call = {
            "began": time.monotonic_ns(),
            "ended": None,
            "snapshot": synchronous.snapshot(seen, self.last),
        }
        self.last = seen
        self.calls.append(call)
        if self.closes and len(self.calls) == 1:
            await (self.client if self.closes == "client" else self).close()
        call["ended"] = time.monotonic_ns()
        if self.raises:
            raise RuntimeError("on purpose")

    async def close(self) -> None:
        await self.subscription.close()
        self.closed = self.closed or time.monotonic_ns()


class Driver(synchronous.Driver):
    """What is open, by name, and the verbs that wait."""

    async def reset(self):
        for thing in self.things.values():
            if isinstance(thing, callsheet.aio.Client):
                with contextlib.suppress(callsheet.Timeout):
                    await thing.close()
        self.__init__()

    def connect(self, as_, url, options=None):
        self.things[as_] = callsheet.aio.connect(url, **options or {})

    async def ping(self, of):
        await self.things[of].ping()

    async def register(self, of, as_, with_):
        self.things[as_] = await Registration().open(self.things[of], with_)

    async def deregister(self, of, id):
        await self.things[of].deregister(id)

    async def ready(self, of, timeout):
        await self.things[of].it.ready(timeout)

    async def wait(self, of, state, timeout):
        await self.things[of].it.wait(state, timeout)

    async def update(self, of, with_):
        await self.things[of].it.update(**with_)

    async def set_status(self, of, status, note):
        await self.things[of].it.set_status(status, note)

    async def drain(self, of):
        await self.things[of].it.drain()

    async def lookup(self, of, service, filter=None):
        return synchronous.snapshot(await self.things[of].lookup(service, **filter or {}))

    async def wait_for(self, of, service, timeout, filter=None, **count):
        found = await self.things[of].wait_for(service, timeout=timeout, **count, **filter or {})
        return synchronous.snapshot(found)

    async def services(self, of):
        return {"names": await self.things[of].services()}

    def watch(self, of, as_, service, filter=None):
        self.things[as_] = Reader(self.things[of].watch(service, **filter or {}))

    def watch_services(self, of, as_):
        self.things[as_] = Reader(self.things[of].watch_services())

    def on_change(self, of, as_, service, raises, closes, filter=None):
        self.things[as_] = Callback(self.things[of], service, filter or {}, raises, closes)

    async def picker(self, of, as_, service, filter=None, options=None, **policy):
        opening = self.things[of].picker(
            service, **policy, **filter or {}, **synchronous.picking(options or {})
        )
        self.things[as_] = await opening

    async def pick(self, of, as_, **how):
        pick = self.things[of].pick(**how)
        pick = self.things[as_] = await pick if "timeout" in how else pick
        return {"id": pick.id, "address": pick.address, "port": pick.port, "url": pick.url}

    async def call(self, of, attempts, fails):
        called = []

        async def function(pick):
            called.append(pick.id)
            if errno := fails.get(pick.id):
                raise synchronous.RAISED[errno](errno)
            return pick.id

        try:
            return {"id": await self.things[of].call(function, attempts=attempts), "calls": len(called)}
        except ConnectionError as error:
            return {"failed": str(error), "calls": len(called)}

    async def close(self, of):
        thing = self.things[of]
        await (thing.it if isinstance(thing, Registration) else thing).close()


async def answer(driver: Driver, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked."""
    verb = request.pop("do")
    try:
        if verb == "next":
            read = await driver.things[request["of"]].read(request["timeout"])
            return {"timeout": True} if read is None else {"ok": read}
        arguments = {{"as": "as_", "with": "with_"}.get(key, key): value for key, value in request.items()}
        done = getattr(driver, verb)(**arguments)
        return {"ok": (await done if inspect.isawaitable(done) else done) or {}}
    except callsheet.Error as error:
        return {"error": {"code": error.code, "message": str(error), "retryable": error.retryable}}
    except Exception as error:
        return {"broken": f"{type(error).__name__}: {error}"}


async def main() -> None:
    """One request per line in, one answer per line out, until the input ends."""
    driver, requests = Driver(), asyncio.StreamReader(LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
    )
    while line := await requests.readline():
        print(json.dumps(await answer(driver, json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
