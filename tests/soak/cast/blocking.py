"""Registrations and watchers on threads: python -m soak.cast.blocking URL.

Reads one command a line, says what it did, each state of a registration, and each snapshot of a watcher; at the end of
its input it withdraws and ends. A command has a `number` and one of

    open slot service address port id ttl n  ·  update slot n  ·  drain slot  ·  close slot
    watch watcher service healthy  ·  stats
    call service: calls its instances by the picker alone, until the end of the input
    serve slot service address port id ttl n: is one itself, until then

A caller says each `attempt` (the id that it was made at) and each `call` (those that it tried) that failed, and now and
then how many `calls` there were. A provider says from when it `listens`, and when it `leaves`.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

import callsheet

from .blocking_caller import Caller
from .blocking_provider import Provider
from .words import say

Command = dict[str, Any]


class Slot:
    """One registration after the other, and the thread that does what is asked of it."""

    def __init__(self, client: callsheet.Client, name: str) -> None:
        self.client = client
        self.name = name
        self.registration: callsheet.Registration | None = None
        self.commands: queue.Queue[Command | None] = queue.Queue()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        while (command := self.commands.get()) is not None:
            answer(command, self.obey)

    def obey(self, command: Command) -> None:
        if command["do"] == "open":
            self.registration = self.client.register(
                command["service"],
                command["port"],
                command["address"],
                command["id"],
                ttl=command["ttl"],
                metadata={"n": str(command["n"])},
                on_state=lambda state: say(slot=self.name, state=state),
            )
            return
        assert self.registration is not None
        if command["do"] == "update":
            self.registration.update(metadata={"n": str(command["n"])})
        elif command["do"] == "drain":
            self.registration.drain()
        else:
            try:
                self.registration.close()
            except callsheet.Timeout:
                pass  # the registry could not be told; it goes with its TTL


def answer(command: Command, obey: Callable[[Command], object]) -> None:
    try:
        said = obey(command)
    except Exception as error:
        say(did=command["number"], failed=f"{command['do']}: {error!r}")
    else:
        say(did=command["number"], **({} if said is None else {"stats": said}))


class Watchers:
    """The watch of each watcher, and the thread that reads it."""

    def __init__(self, client: callsheet.Client) -> None:
        self.client = client
        self.watches: dict[str, tuple[callsheet.Watch, threading.Thread]] = {}

    def open(self, command: Command) -> None:
        name = command["watcher"]
        self.close(name)
        watch = self.client.watch(command["service"], healthy=command["healthy"])
        thread = threading.Thread(target=self.follow, args=(name, watch))
        self.watches[name] = (watch, thread)
        thread.start()

    def close(self, name: str) -> None:
        if name in self.watches:
            watch, thread = self.watches.pop(name)
            watch.close()
            thread.join()

    def follow(self, name: str, watch: callsheet.Watch) -> None:
        for snapshot in watch:
            say(
                saw=name,
                revision=snapshot.revision,
                freshness=snapshot.freshness,
                instances=[f"{i.id} {i.metadata.get('n', '')} {i.status}" for i in snapshot],
            )


def main(url: str) -> None:
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(message)s")
    with callsheet.connect(url) as client:
        slots: dict[str, Slot] = {}
        watchers = Watchers(client)
        others: list[Caller | Provider] = []
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "watch":
                answer(command, watchers.open)
            elif command["do"] == "call":
                answer(command, lambda command: others.append(Caller(client, command["service"])))
            elif command["do"] == "serve":
                answer(command, lambda command: others.append(Provider(client, command)))
            elif command["do"] == "stats":
                answer(command, lambda _: client.stats())
            else:
                name = command["slot"]
                slots[name] = slots.get(name) or Slot(client, name)
                slots[name].commands.put(command)
        for other in others:
            other.end()
        for slot in slots.values():
            slot.commands.put(None)
            slot.thread.join()
    for _, thread in watchers.watches.values():
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
