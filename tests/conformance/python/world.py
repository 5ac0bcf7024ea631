"""What one scenario has opened, and each verb as the call of the Python API that it stands for.

Run as a program it is a peer: it takes steps of a scenario in a process of its own, one per line.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import callsheet

#: Asked again until the answer is the expected one or `within` is over. Everything else is done once.
QUESTIONS = {"state", "lookup", "services", "see", "pick", "spread", "called", "stats", "ping"}
RETRYABLE = {"no_instances", "unavailable", "timeout"}
FIELDS = ["id", "service", "address", "port", "scheme", "weight", "zone", "version", "status", "url"]
FAULT = pathlib.Path(__file__).resolve().parent.parent / "fault.py"


class Wrong(Exception):
    """Something else was seen than expected, or the scenario is wrong."""


def difference(path: str, expected: Any, seen: Any) -> str | None:
    """The first difference between what `is` asks for and what was seen."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        found = (difference(f"{path}.{key}", value, seen.get(key)) for key, value in expected.items())
        return next(filter(None, found), None)
    if isinstance(expected, list) and isinstance(seen, list) and len(expected) == len(seen):
        pairs = enumerate(zip(expected, seen, strict=True))
        return next(filter(None, (difference(f"{path}[{at}]", *pair) for at, pair in pairs)), None)
    if isinstance(expected, dict) and all(holds(*item, seen) for item in expected.items()):
        return None
    same = expected == seen and isinstance(expected, bool) == isinstance(seen, bool)
    return None if same else f"expected {path} {expected!r}, saw {seen!r}"


def holds(operator: str, operand: Any, seen: Any) -> bool:
    """Whether `seen` is as an operator asks."""
    if operator in ("least", "most"):
        return isinstance(seen, int | float) and (seen >= operand if operator == "least" else seen <= operand)
    if isinstance(seen, str) or not isinstance(seen, list):
        return isinstance(seen, str) and (operand in seen) == (operator == "has")
    if operator == "lacks":
        return not any(unwanted in seen for unwanted in operand)
    rest = iter(seen)
    return all(wanted in rest for wanted in operand)  # in this order


def snapshot(seen: callsheet.Snapshot, previous: callsheet.Snapshot | None = None) -> dict[str, Any]:
    """A snapshot as scenarios see it, and what changed since the one before it."""
    changes = None
    if previous is not None:
        if seen.revision <= previous.revision:
            raise Wrong(f"revision {seen.revision} came after {previous.revision}")
        changed = seen.changes_since(previous)
        changes = {kind: [i.id for i in getattr(changed, kind)] for kind in ("added", "removed", "changed")}
    fields = [{name: getattr(instance, name) for name in FIELDS} for instance in seen]
    for instance, its in zip(seen, fields, strict=True):
        its |= {"tags": list(instance.tags), "metadata": dict(instance.metadata)}
    return {
        "ids": [instance.id for instance in seen],
        "size": len(seen),
        "instances": fields,
        "changes": changes,
        "freshness": seen.freshness,
        "source": seen.source,
        "last_error": code(seen.last_error),
        "age": seen.age,
    }


def code(error: callsheet.Error | None) -> str | None:
    """The code of an error, if there is one."""
    return error and error.code


class World:
    """One scenario's open things, by name."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.things: dict[str, Any] = {}
        self.held: list[callsheet.Pick] = []
        self.deadline = 0.0
        self.memory = callsheet.memory.Memory(url[7:]) if url.startswith("memory:") else None

    def step(self, step: dict[str, Any]) -> None:
        """Do a step and compare what came of it with what it expects."""
        args = {{"as": "as_", "with": "with_"}.get(key, key): value for key, value in step.items()}
        if peer := args.pop("in", None):
            self.things[peer].run({key: value for key, value in step.items() if key != "in"})
            return
        verb, error, wanted = args.pop("do"), args.pop("error", None), args.pop("is", {})
        question, start = verb in QUESTIONS, time.monotonic()
        limit = args.pop("within", 0 if question else 10)
        self.deadline = start + limit
        while True:
            why = None
            try:
                seen = getattr(self, f"do_{verb}")(**args) or {}
                why = error and f"expected the error {error}, but it succeeded"
            except callsheet.Error as failed:
                seen = {"message": str(failed)}
                if failed.code != error:
                    why = f"expected {error or 'success'}, saw {failed.code}: {failed}"
                elif not str(failed) or failed.retryable != (error in RETRYABLE):
                    why = f"{error}: its message or retryable: {failed}"
            except Wrong as wrong:
                seen, why = {}, str(wrong)
            took = seen["seconds"] = time.monotonic() - start
            if why is None and (why := difference("is", wanted, seen)):
                why += f"; all of it: {seen}"
            if why is None and (question or took <= limit):
                return
            if why is None or not question or took >= limit:
                raise Wrong(why or f"expected it within {limit} s, it took {took:.3f} s")
            time.sleep(0.02)

    def end(self) -> None:
        """Close what is open, and look once more at what must hold in every scenario."""
        for thing in list(self.things.values()):
            if isinstance(thing, Callback):
                thing.check()
        for thing in self.things.values():
            if isinstance(thing, callsheet.Client | Listener | Peer):
                try:
                    thing.close()
                except callsheet.Timeout:
                    pass

    # Clients and registrations.

    def do_connect(self, as_="client", url=..., options=None):
        self.things[as_] = callsheet.connect(self.url if url is ... else url, **options or {})

    def do_ping(self, of="client"):
        self.things[of].ping()

    def do_stats(self, of="client"):
        return dict(self.things[of].stats())

    def do_close_on_signals(self, of="client"):
        self.things[of].close_on_signals()

    def do_register(self, with_, of="client", as_="registration"):
        states: list[str] = []
        if check := dict(with_.get("check", {})):
            with_ = {**with_, "check": getattr(callsheet, check.pop("kind"))(**check)}
        self.things[as_] = self.things[of].register(**with_, on_state=states.append)
        self.things[as_, "states"] = states

    def do_deregister(self, id, of="client"):
        self.things[of].deregister(id)

    def do_ready(self, of="registration", timeout=10):
        self.things[of].ready(timeout)

    def do_wait(self, state, of="registration", timeout=10):
        self.things[of].wait(state, timeout)

    def do_update(self, with_, of="registration"):
        self.things[of].update(**with_)

    def do_set_status(self, status, of="registration", note=""):
        self.things[of].set_status(status, note)

    def do_drain(self, of="registration"):
        self.things[of].drain()

    def do_beat(self, of="registration"):
        self.things[of].beat()

    def do_state(self, of="registration"):
        it = self.things[of]
        states = list(self.things[of, "states"])
        return {"state": it.state, "id": it.id, "last_error": code(it.last_error), "states": states}

    # Discovery.

    def do_lookup(self, service, of="client", filter=None):
        return snapshot(self.things[of].lookup(service, **filter or {}))

    def do_wait_for(self, service, of="client", filter=None, count=1, timeout=10):
        return snapshot(self.things[of].wait_for(service, count, timeout, **filter or {}))

    def do_services(self, of="client"):
        return {"names": self.things[of].services()}

    def do_watch(self, service, of="client", as_="watch", filter=None):
        self.things[as_] = Reader(self.things[of].watch(service, **filter or {}))

    def do_watch_services(self, of="client", as_="watch"):
        self.things[as_] = Reader(self.things[of].watch_services())

    def do_next(self, of="watch"):
        return self.things[of].read(self.deadline)

    do_see = do_next

    def do_on_change(self, service, of="client", as_="callback", filter=None, raises=False, closes=None):
        self.things[as_] = Callback(self.things[of], service, filter or {}, raises, closes)

    def do_called(self, of="callback"):
        snapshots = self.things[of].check()
        seen = snapshot(snapshots[-1], *snapshots[-2:-1]) if snapshots else {}
        return seen | {"times": len(snapshots)}

    # Pickers.

    def do_picker(self, service, of="client", as_="picker", filter=None, policy="p2c"):
        self.things[as_] = self.things[of].picker(service, policy, **filter or {})

    def do_pick(self, of="picker", as_="pick", timeout=None):
        pick = self.things[as_] = self.things[of].pick(timeout)
        return {"id": pick.id, "address": pick.address, "port": pick.port, "url": pick.url}

    def do_done(self, outcome, of="pick"):
        cancelled = asyncio.CancelledError() if outcome == "cancelled" else None
        self.things[of].done(ok=outcome == "ok", error=cancelled)

    def do_spread(self, picks, of="picker", failed=(), hold=False):
        counts = collections.Counter()
        for _ in range(picks):
            pick = self.things[of].pick()
            counts[pick.id] += 1
            if hold:
                self.held.append(pick)
            else:
                pick.done(ok=pick.id not in failed)
        return {"ids": sorted(counts), "counts": dict(counts)}

    def do_call(self, of="picker", attempts=1, fails=None):
        raised = {"ECONNREFUSED": ConnectionRefusedError, "ECONNRESET": ConnectionResetError}
        called = []

        def function(pick):
            called.append(pick.id)
            if errno := (fails or {}).get(pick.id):
                raise raised[errno](errno)
            return pick.id

        try:
            return {"id": self.things[of].call(function, attempts=attempts), "calls": len(called)}
        except ConnectionError as error:
            return {"failed": str(error), "calls": len(called)}

    # The world around.

    def do_close(self, of):
        self.things[of].close()

    def do_listen(self, port, as_="listener", answers=None):
        self.things[as_] = Listener(port, answers)

    def do_peer(self, as_="peer", env=None):
        self.things[as_] = Peer(self.url, env or {})

    def do_kill(self, of="peer", signal="KILL"):
        self.things[of].kill(signal)

    def do_exit(self, of="peer"):
        self.things[of].exit()

    def do_fault(self, kind, on=True, seconds=0, service="", id=""):
        if self.memory is None:
            words = [self.url, kind, "on" if on else "off", service, id, str(seconds)]
            if subprocess.run([sys.executable, str(FAULT), *words]).returncode:
                raise Wrong(f"fault.py could not do {kind}")
        elif kind in ("unreachable", "refuse"):
            getattr(self.memory, kind)(on)
        elif kind in ("empty", "lists"):
            {"empty": self.memory.answer_empty, "lists": self.memory.answer_with_lists}[kind](on)
        elif kind == "slow":
            self.memory.slow(seconds)
        elif kind == "identity":
            self.memory.change_identity()
        elif kind == "put":
            self.memory.put(callsheet.Instance(service, "10.9.9.9", 9999, id=id))
        elif kind == "delete":
            self.memory.delete(service, id)
        else:
            getattr(self.memory, kind)()


class Reader:
    """A watch, read in a thread of its own, so that waiting for the next snapshot can end at a deadline."""

    def __init__(self, watch: callsheet.Watch | callsheet.NamesWatch) -> None:
        self.watch, self.last, self.pending = watch, None, None
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.close = watch.close

    def read(self, deadline: float) -> dict[str, Any]:
        """The next snapshot or list of names."""
        self.pending = self.pending or self.pool.submit(next, self.watch, None)
        done, _ = concurrent.futures.wait([self.pending], max(deadline - time.monotonic(), 0))
        if not done:
            raise Wrong("nothing came in time")
        value, self.pending = self.pending.result(), None
        if value is None:
            return {"ended": True}
        if isinstance(value, list):
            return {"names": value}
        previous, self.last = self.last, value
        return snapshot(value, previous) | {"skipped": self.watch.skipped > 0}


class Callback:
    """A callback that records its calls, and whether a promise about being called was broken."""

    def __init__(self, client, service, filter, raises, closes) -> None:
        self.snapshots: list[callsheet.Snapshot] = []
        self.broken, self.closed, self.running = None, False, threading.Lock()
        self.client, self.raises, self.closes = client, raises, closes
        self.opened = threading.Event()
        self.subscription = client.on_change(service, self.call, **filter)
        self.opened.set()

    def call(self, snapshot: callsheet.Snapshot) -> None:
        if not self.running.acquire(blocking=False):
            self.broken = "two calls ran at once"
            return
        with_previous = self.snapshots and self.snapshots[-1].revision >= snapshot.revision
        self.broken = self.broken or (with_previous and "snapshots came out of order")
        self.broken = self.broken or (self.closed and "it was called after close had returned")
        self.snapshots.append(snapshot)
        try:
            if self.closes and len(self.snapshots) == 1:
                self.opened.wait()
                (self.client if self.closes == "client" else self.subscription).close()
        except callsheet.Error as error:
            self.broken = f"closing in it failed: {error}"
        finally:
            self.running.release()
        if self.raises:
            raise RuntimeError("on purpose")

    def check(self) -> list[callsheet.Snapshot]:
        """What it was called with, unless a promise was broken."""
        if self.broken:
            raise Wrong(f"a callback: {self.broken}")
        return list(self.snapshots)

    def close(self) -> None:
        self.subscription.close()
        self.closed = True


class Listener:
    """A port that listens on loopback, and if asked to, answers HTTP."""

    def __init__(self, port: int, answers: int | None) -> None:
        self.port, self.answers, self.open = port, answers, True
        self.socket = self.bind(time.monotonic() + 5)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def bind(self, deadline: float) -> socket.socket:
        while True:
            try:
                return socket.create_server(("127.0.0.1", self.port))
            except OSError:
                # A process that another scenario starts just now may hold a copy of the port's last listener.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def serve(self) -> None:
        with self.socket:
            while self.open:
                connection, _ = self.socket.accept()
                with connection, contextlib.suppress(OSError):
                    if self.open and self.answers and connection.recv(4096):
                        head = f"HTTP/1.1 {self.answers} So\r\nContent-Length: 0\r\n"
                        connection.sendall(f"{head}Connection: close\r\n\r\n".encode())

    def close(self) -> None:
        if self.open:
            self.open = False
            with contextlib.suppress(OSError):  # it may be awake already
                socket.create_connection(("127.0.0.1", self.port)).close()
            self.thread.join()


class Peer:
    """Another process that takes steps."""

    def __init__(self, url: str, env: dict[str, str]) -> None:
        program = os.environ.get("CALLSHEET_CONFORMANCE_PEER")
        words = [program, url] if program else [sys.executable, __file__, url]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, env={**os.environ, **env}, stdin=pipe, stdout=pipe, text=True)

    def run(self, step: dict[str, Any]) -> None:
        """Have it do a step; it judges the outcome itself."""
        try:
            print(json.dumps(step), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline().strip()
        except (OSError, ValueError) as error:
            raise Wrong(f"the peer is gone: {error}") from error
        if answer != "ok":
            raise Wrong(f"in the peer: {answer or 'it ended without an answer'}")

    def kill(self, name: str) -> None:
        """End it by a signal, which must be what ends it."""
        number = signal.Signals[f"SIG{name}"]
        self.process.send_signal(number)
        self.ended(-number)

    def exit(self) -> None:
        """Let it end like any program whose work is done."""
        self.process.stdin.close()
        self.ended(0)

    def ended(self, expected: int) -> None:
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired as error:
            raise Wrong("the peer did not end within 10 s") from error
        if status != expected:
            raise Wrong(f"the peer should have ended with {expected}, but: {status}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass


def main() -> None:
    """Be a peer: a step per line in, `ok` or what was wrong per line out, until the input ends."""
    world = World(sys.argv[1])
    for line in sys.stdin:
        try:
            world.step(json.loads(line))
            print("ok", flush=True)
        except Exception as error:
            print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)


if __name__ == "__main__":
    main()
