"""All that a program does with a registry, to see how much of it its rights allow: it registers `billing`, and finds,
follows and lists `orders`, which is somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

import callsheet
from servers.waiting import until

from shared.seen import Seen

EVERYTHING = {"register", "update", "lookup", "watch", "list", "close"}
#: How long a change may take to be seen; and how long by whoever could not even look it up.
SEEN, HIDDEN = 15.0, 1.0


class Office(Protocol):
    """What is done beside, by one who may everything."""

    def add_order(self, port: int) -> None:
        """One more instance of `orders`, there for all to read when this returns."""

    def bills(self) -> list[list[str]]:
        """The tags of each instance of `billing`."""


def done(client: callsheet.Client, office: Office, *, registers: bool = True) -> set[str]:
    """What of its job this program can do; closes it."""
    able: set[str] = set()

    def doing(verb: str, works: Callable[[], bool]) -> None:
        with suppress(callsheet.Error, AssertionError):
            if works():
                able.add(verb)

    def bills_are(tags: list[list[str]]) -> bool:
        until(lambda: office.bills() == tags, SEEN)
        return True

    with client:
        if registers:
            registration = client.register("billing", 80, "10.0.0.1")
            doing("register", lambda: registration.state == "registered" and bills_are([[]]))
        if "register" in able:
            registration.update(tags=["v2"])
            doing("update", lambda: bills_are([["v2"]]))
        office.add_order(1)
        doing("lookup", lambda: ports(client.lookup("orders")) == {1})
        with Seen(client, "orders", SEEN if "lookup" in able else HIDDEN) as seen:
            office.add_order(2)
            doing("watch", lambda: ports(seen.until(lambda snapshot: ports(snapshot) == {1, 2})) != set())
        doing("list", lambda: "orders" in client.services())
        if "register" in able:
            registration.close()
            doing("close", lambda: bills_are([]))
    return able


def ports(found: Iterable[callsheet.Instance]) -> set[int]:
    return {instance.port for instance in found}


def lessened(rights: list[str]) -> list[list[str]]:
    """Each way to have one right less: without it, and where it is to read and write, with one of both."""
    less = [rights[:at] + rights[at + 1 :] for at in range(len(rights))]
    halves = {"readwrite ": ("read ", "write "), '"write"': ('"read"',)}
    for at, right in enumerate(rights):
        for whole, parts in halves.items():
            if whole in right:
                less += [[*rights[:at], right.replace(whole, part), *rights[at + 1 :]] for part in parts]
    return less
