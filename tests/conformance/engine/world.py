"""One scenario under way: its drivers and listeners. Each step is asked and judged, a question again and again."""

from __future__ import annotations

import collections
import itertools
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from driver import Broken, Driver, Wrong
from judge import difference
from listener import HealthServer, Listener
from verbs import READS, VERBS, request

if TYPE_CHECKING:
    from registries import Registry

NUMBERS = itertools.count()
RETRYABLE = {"no_instances", "unavailable", "timeout"}
#: How long a step may take that does not say.
WITHIN = 10
#: Between two questions.
PAUSE = 0.02


class Process:
    """A driver, and what has to be remembered of it to judge what it says later."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.revisions: dict[str, int] = {}
        #: The client of each callback; how often it had been called when that client was closed.
        self.callbacks: dict[str, str] = {}
        self.at_close: dict[str, int] = {}
        self.faults: set[str] = set()


class World:
    """The scenario's processes and listeners, by name."""

    #: `None` for `memory:`, which every language has a control of.
    registry: Registry | None = None

    def __init__(self, driver: Driver, start: Callable[[dict[str, str]], Driver]) -> None:
        self.start = start
        self.name = f"memory:{os.getpid()}-{next(NUMBERS)}"
        self.main = Process(driver)
        self.peers: dict[str, Process] = {}
        self.all = [self.main]
        self.listeners: dict[str, Listener | HealthServer] = {}

    @property
    def url(self) -> str:
        return self.registry.url if self.registry else self.name

    @property
    def login(self) -> Mapping[str, str]:
        return self.registry.login if self.registry else {}

    def step(self, step: dict[str, Any]) -> None:
        """Do a step and compare what came of it with what it expects."""
        asked = request(step, self.url)
        question = VERBS[asked["do"]].question
        process = self.peer(step["in"]) if "in" in step else self.main
        if self.registry and asked["do"] in READS:
            self.registry.settle()
        start = time.monotonic()
        limit = step.get("within", 0 if question else WITHIN)
        while True:
            seen, why = self.once(process, asked, step.get("error"), start + limit)
            took = seen["seconds"] = time.monotonic() - start
            if why is None and (why := difference("is", step.get("is", {}), seen)):
                why += f"; all of it: {seen}"
            if why is None and (question or took <= limit):
                return
            if why is None or not question or took >= limit:
                raise Wrong(why or f"expected it within {limit} s, it took {took:.3f} s")
            time.sleep(PAUSE)

    def once(
        self, process: Process, asked: dict[str, Any], error: str | None, deadline: float
    ) -> tuple[dict[str, Any], str | None]:
        """What was seen, and what is wrong with it so far."""
        try:
            answer = self.answer(process, asked, deadline)
        except Broken:
            raise
        except Wrong as wrong:
            return {}, str(wrong)
        if "timeout" in answer:
            return {}, "nothing came in time"
        if failed := answer.get("error"):
            code, message = failed["code"], snake(failed["message"])
            if code != error:
                return {}, f"expected {error or 'success'}, saw {code}: {message}"
            if not message or failed["retryable"] is not (code in RETRYABLE):
                return {}, f"{code}: its message or retryable: {failed}"
            return {"message": message}, None
        return answer["ok"], error and f"expected the error {error}, but it succeeded"

    def answer(self, process: Process, asked: dict[str, Any], deadline: float) -> dict[str, Any]:
        """The answer to a request, from the driver or from the world around it."""
        if here := getattr(self, f"do_{asked['do']}", None):
            return here(process, asked, deadline) or {"ok": {}}
        return self.ask(process, asked, deadline)

    def ask(self, process: Process, asked: dict[str, Any], deadline: float) -> dict[str, Any]:
        """The driver's answer, with what the engine adds to a snapshot."""
        limit = max(2 * (deadline - time.monotonic()), 2 * WITHIN, asked.get("timeout", 0) + WITHIN)
        answer = process.driver.ask(asked, limit)
        if "instances" in answer.get("ok", {}):
            whole(answer["ok"])
        return answer

    # Verbs with more to them than their answer.

    def do_stats(self, process, asked, deadline):
        answer = self.ask(process, asked, deadline)
        if "ok" in answer:
            answer["ok"] = {snake(key).lower(): it for key, it in answer["ok"].items()}
        return answer

    def do_watch(self, process, asked, deadline):
        process.revisions.pop(asked["as"], None)
        return self.ask(process, asked, deadline)

    def do_next(self, process, asked, deadline):
        asked = {"do": "next", "of": asked["of"], "timeout": max(deadline - time.monotonic(), 0)}
        answer = self.ask(process, asked, deadline)
        if "revision" in (seen := answer.get("ok", {})):
            last = process.revisions.get(asked["of"], -1)
            process.revisions[asked["of"]] = seen["revision"]
            if seen["revision"] <= last:
                raise Broken(f"revision {seen['revision']} came after {last}")
        return answer

    do_see = do_next

    def do_on_change(self, process, asked, deadline):
        answer = self.ask(process, asked, deadline)
        if "ok" in answer:
            process.callbacks[asked["as"]] = asked["of"]
        return answer

    def do_called(self, process, asked, deadline):
        answer = self.ask(process, asked, deadline)
        if "ok" not in answer:
            return answer
        calls = in_order(answer["ok"])
        most = process.at_close.get(asked["of"], len(calls))
        if len(calls) > most:
            raise Broken("a callback was called after closing its client had returned")
        last = whole(calls[-1]["snapshot"]) if calls else {}
        return {"ok": last | {"times": len(calls), "running": bool(calls) and calls[-1]["ended"] is None}}

    def do_spread(self, process, asked, deadline):
        answer = self.ask(process, asked, deadline)
        if "ok" in answer:
            counts = collections.Counter(answer["ok"]["picked"])
            answer["ok"] = {"ids": sorted(counts), "counts": dict(counts)}
        return answer

    def do_close(self, process, asked, deadline):
        if listener := self.listeners.get(asked["of"]):
            return listener.close()
        answer = self.ask(process, asked, deadline)
        for name, client in process.callbacks.items():
            if "ok" in answer and client == asked["of"] and name not in process.at_close:
                calls = self.ask(process, {"do": "called", "of": name}, deadline)["ok"]["calls"]
                process.at_close[name] = len(calls)
        return answer

    # The world around.

    def do_listen(self, _process, asked, _deadline):
        if old := self.listeners.pop(asked["as"], None):
            old.close()
        if "serves" in asked:
            self.listeners[asked["as"]] = HealthServer(asked["port"], asked["serves"])
        else:
            self.listeners[asked["as"]] = Listener(asked["port"], asked.get("answers"))

    def peer(self, name: str) -> Process:
        """A peer by its name."""
        if name not in self.peers:
            raise Wrong(f"there is no peer {name!r}")
        return self.peers[name]

    def do_peer(self, _process, asked, _deadline):
        self.peers[asked["as"]] = Process(self.start(asked.get("env", {})))
        self.all.append(self.peers[asked["as"]])

    def do_kill(self, _process, asked, _deadline):
        self.peer(asked["of"]).driver.signal(asked.get("signal", "KILL"))

    def do_exit(self, _process, asked, _deadline):
        self.peer(asked["of"]).driver.exit()

    def do_fault(self, process, asked, deadline):
        kind, on = asked["kind"], asked["on"]
        if self.registry is None:
            (process.faults.add if on else process.faults.discard)(kind)
            return self.ask(process, asked, deadline)
        self.registry.fault(kind, on, asked["seconds"], asked["service"], asked["id"])
        return None

    # The end.

    def check(self) -> None:
        """Look once more at what must hold in every scenario."""
        for process in self.all:
            for name in process.callbacks if process.driver.process.poll() is None else ():
                self.settled(process, {"do": "called", "of": name}, time.monotonic() + WITHIN)

    def settled(self, process: Process, asked: dict[str, Any], deadline: float) -> None:
        """Whether a callback was called as promised, once no call of it runs."""
        while self.do_called(process, asked, deadline)["ok"]["running"]:
            if time.monotonic() > deadline:
                raise Wrong(f"a call of the callback {asked['of']!r} never ended")
            time.sleep(PAUSE)

    def end(self) -> None:
        """Heal the registry and close what is open, but for the first driver, which lives on."""
        for listener in self.listeners.values():
            listener.close()
        for process in self.all[1:]:
            process.driver.kill()
        if self.registry:
            self.registry.heal()
        if self.main.driver.process.poll() is None:
            for kind in self.main.faults & {"unreachable", "refuse", "slow", "empty", "lists"}:
                fault = request({"do": "fault", "kind": kind, "on": False}, self.url)
                self.main.driver.ask(fault, WITHIN)
            self.main.driver.reset()


def snake(text: str) -> str:
    """A name, or a message with names, of a language that writes camelCase, as scenarios spell it."""
    return re.sub("(?<=[a-z0-9])[A-Z](?=[a-z])", lambda letter: f"_{letter[0].lower()}", text)


def whole(snapshot: dict[str, Any]) -> dict[str, Any]:
    """A snapshot as scenarios see it, from what a driver says of it."""
    snapshot["ids"] = [instance["id"] for instance in snapshot["instances"]]
    snapshot["size"] = len(snapshot["ids"])
    return snapshot


def in_order(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of a callback, unless a promise about being called was broken."""
    calls, closed = told["calls"], told.get("closed")
    for before, call in itertools.pairwise(calls):
        if before["ended"] is None or call["began"] < before["ended"]:
            raise Broken("two calls of a callback ran at once")
        if call["snapshot"]["revision"] <= before["snapshot"]["revision"]:
            raise Broken("a callback got snapshots out of order")
    if closed is not None and any(call["began"] > closed for call in calls):
        raise Broken("a callback was called after its close had returned")
    return calls
