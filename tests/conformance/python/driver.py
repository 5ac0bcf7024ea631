"""The driver of the synchronous Python package: each request of the engine as the call that it stands for."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import sys
import threading
import time
from typing import Any

import callsheet

FIELDS = ["id", "service", "address", "port", "scheme", "weight", "zone", "version", "status", "url"]
RAISED = {"ECONNREFUSED": ConnectionRefusedError, "ECONNRESET": ConnectionResetError}


def snapshot(seen: callsheet.Snapshot, previous: callsheet.Snapshot | None = None) -> dict[str, Any]:
    """A snapshot, and what changed since the one before it."""
    changed = None if previous is None else seen.changes_since(previous)
    kinds = ("added", "removed", "changed")
    return {
        "revision": seen.revision,
        "freshness": seen.freshness,
        "source": seen.source,
        "last_error": code(seen.last_error),
        "age": seen.age,
        "instances": [
            {name: getattr(instance, name) for name in FIELDS}
            | {"tags": list(instance.tags), "metadata": dict(instance.metadata)}
            for instance in seen
        ],
        "changes": changed
        if changed is None
        else {kind: [i.id for i in getattr(changed, kind)] for kind in kinds},
    }


def code(error: callsheet.Error | None) -> str | None:
    """The code of an error, if there is one."""
    return error and error.code


def picking(options):
    """The options of a picker; ejection has a type of its own."""
    ejection = options.get("ejection")
    return options | ({"ejection": callsheet.Ejection(**ejection)} if isinstance(ejection, dict) else {})


class Registration:
    """A registration, and the states it was in."""

    def __init__(self, client: callsheet.Client, arguments: dict[str, Any]) -> None:
        self.states: list[str] = []
        if check := arguments.pop("check", None):
            arguments["check"] = getattr(callsheet, check.pop("kind"))(**check)
        self.it = client.register(**arguments, on_state=self.states.append)


class Reader:
    """A watch, read in a thread of its own, so that waiting for the next snapshot can end at a deadline."""

    def __init__(self, watch: callsheet.Watch | callsheet.NamesWatch) -> None:
        self.watch, self.last, self.pending = watch, None, None
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.close = watch.close

    def read(self, timeout: float) -> dict[str, Any] | None:
        """The next snapshot or list of names; None when none came in time."""
        self.pending = self.pending or self.pool.submit(next, self.watch, None)
        if not concurrent.futures.wait([self.pending], timeout).done:
            return None
        value, self.pending = self.pending.result(), None
        if value is None:
            return {"ended": True}
        if isinstance(value, list):
            return {"names": value}
        previous, self.last = self.last, value
        return snapshot(value, previous) | {"skipped": self.watch.skipped > 0}


class Callback:
    """A callback that records its calls."""

    def __init__(self, client, service, filter, raises, closes) -> None:
        self.calls: list[dict[str, Any]] = []
        self.last, self.closed = None, None
        self.client, self.raises, self.closes = client, raises, closes
        self.opened = threading.Event()
        self.subscription = client.on_change(service, self.call, **filter)
        self.opened.set()

    def call(self, seen: callsheet.Snapshot) -> None:
        call = {"began": time.monotonic_ns(), "ended": None, "snapshot": snapshot(seen, self.last)}
        self.last = seen
        self.calls.append(call)
        if self.closes and len(self.calls) == 1:
            self.opened.wait()
            (self.client if self.closes == "client" else self).close()
        call["ended"] = time.monotonic_ns()
        if self.raises:
            raise RuntimeError("on purpose")

    def close(self) -> None:
        self.subscription.close()
        self.closed = self.closed or time.monotonic_ns()


class Driver:
    """What is open, by name, and the verbs."""

    def __init__(self) -> None:
        self.things: dict[str, Any] = {}
        self.held: list[callsheet.Pick] = []
        self.memory: Any = None

    def reset(self):
        for thing in self.things.values():
            if isinstance(thing, callsheet.Client):
                with contextlib.suppress(callsheet.Timeout):
                    thing.close()
        self.__init__()

    def connect(self, as_, url, options=None):
        self.things[as_] = callsheet.connect(url, **options or {})

    def ping(self, of):
        self.things[of].ping()

    def stats(self, of):
        return dict(self.things[of].stats())

    def close_on_signals(self, of):
        self.things[of].close_on_signals()

    def register(self, of, as_, with_):
        self.things[as_] = Registration(self.things[of], with_)

    def deregister(self, of, id):
        self.things[of].deregister(id)

    def ready(self, of, timeout):
        self.things[of].it.ready(timeout)

    def wait(self, of, state, timeout):
        self.things[of].it.wait(state, timeout)

    def update(self, of, with_):
        self.things[of].it.update(**with_)

    def set_status(self, of, status, note):
        self.things[of].it.set_status(status, note)

    def drain(self, of):
        self.things[of].it.drain()

    def beat(self, of):
        self.things[of].it.beat()

    def state(self, of):
        it, states = self.things[of].it, list(self.things[of].states)
        return {"state": it.state, "id": it.id, "last_error": code(it.last_error), "states": states}

    def lookup(self, of, service, filter=None):
        return snapshot(self.things[of].lookup(service, **filter or {}))

    def wait_for(self, of, service, timeout, filter=None, **count):
        return snapshot(self.things[of].wait_for(service, timeout=timeout, **count, **filter or {}))

    def services(self, of):
        return {"names": self.things[of].services()}

    def watch(self, of, as_, service, filter=None):
        self.things[as_] = Reader(self.things[of].watch(service, **filter or {}))

    def watch_services(self, of, as_):
        self.things[as_] = Reader(self.things[of].watch_services())

    def on_change(self, of, as_, service, raises, closes, filter=None):
        self.things[as_] = Callback(self.things[of], service, filter or {}, raises, closes)

    def called(self, of):
        return {"calls": self.things[of].calls, "closed": self.things[of].closed}

    def picker(self, of, as_, service, filter=None, options=None, **policy):
        self.things[as_] = self.things[of].picker(service, **policy, **filter or {}, **picking(options or {}))

    def ejected(self, of):
        return {"ids": self.things[of].ejected}

    def pick(self, of, as_, **how):
        pick = self.things[as_] = self.things[of].pick(**how)
        return {"id": pick.id, "address": pick.address, "port": pick.port, "url": pick.url}

    def done(self, of, outcome):
        cancelled = asyncio.CancelledError() if outcome == "cancelled" else None
        self.things[of].done(ok=outcome == "ok", error=cancelled)

    def spread(self, of, picks, failed, hold):
        picked = []
        for _ in range(picks):
            pick = self.things[of].pick()
            picked.append(pick.id)
            if hold:
                self.held.append(pick)
            else:
                pick.done(ok=pick.id not in failed)
        return {"picked": picked}

    def call(self, of, attempts, fails):
        called = []

        def function(pick):
            called.append(pick.id)
            if errno := fails.get(pick.id):
                raise RAISED[errno](errno)
            return pick.id

        try:
            return {"id": self.things[of].call(function, attempts=attempts), "calls": len(called)}
        except ConnectionError as error:
            return {"failed": str(error), "calls": len(called)}

    def close(self, of):
        thing = self.things[of]
        (thing.it if isinstance(thing, Registration) else thing).close()

    def fault(self, url, kind, on, seconds, service, id):
        # Kept, since a registry in memory lives as long as something knows it.
        memory = self.memory = self.memory or callsheet.memory.Memory(url.removeprefix("memory:"))
        {
            "unreachable": lambda: memory.unreachable(on),
            "refuse": lambda: memory.refuse(on),
            "slow": lambda: memory.slow(seconds),
            "empty": lambda: memory.answer_empty(on),
            "lists": lambda: memory.answer_with_lists(on),
            "lose_leases": memory.lose_leases,
            "compact": memory.compact,
            "identity": memory.change_identity,
            "wipe": memory.wipe,
            "put": lambda: memory.put(callsheet.Instance(service, "10.9.9.9", 9999, id=id)),
            "delete": lambda: memory.delete(service, id),
        }[kind]()


def answer(driver: Driver, request: dict[str, Any]) -> dict[str, Any]:
    """Do what is asked."""
    verb = request.pop("do")
    try:
        if verb == "next":
            read = driver.things[request["of"]].read(request["timeout"])
            return {"timeout": True} if read is None else {"ok": read}
        arguments = {{"as": "as_", "with": "with_"}.get(key, key): value for key, value in request.items()}
        return {"ok": getattr(driver, verb)(**arguments) or {}}
    except callsheet.Error as error:
        return {"error": {"code": error.code, "message": str(error), "retryable": error.retryable}}
    except Exception as error:
        return {"broken": f"{type(error).__name__}: {error}"}


def main() -> None:
    """One request per line in, one answer per line out, until the input ends."""
    driver = Driver()
    for line in sys.stdin:
        print(json.dumps(answer(driver, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
