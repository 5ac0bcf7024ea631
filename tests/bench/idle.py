"""What clients and servers cost while nothing happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from languages import cpu_of, led
from rows import Row, row

if TYPE_CHECKING:
    from languages import Led

#: Several renewals of a lease of 10 s.
IDLE = 20.0


def shares(*processes: int, seconds: float = IDLE) -> list[list[float]]:
    """Percent of a core that each of these uses for so long, as figures of rows."""
    before = [cpu_of(process) for process in processes]
    time.sleep(seconds)
    after = [cpu_of(process) for process in processes]
    return [[(end - begin) / 1e9 / seconds * 100] * 3 for begin, end in zip(before, after, strict=True)]


@dataclass(frozen=True)
class Server:
    """One that clients register at."""

    url: str
    process: int
    #: Renewals so far.
    renewals: Callable[[], int]


@dataclass(frozen=True)
class Goals:
    """What 1,000 registrations are to cost."""

    renewals: str
    client: str = "-"
    server: str = "-"


def rows(
    registry: str,
    rust: list[str],
    crowded: Server,
    quiet: Server,
    goals: Goals,
    also: Callable[[Led], Iterator[Row]] = lambda _: iter(()),
) -> Iterator[Row]:
    """1,000 registrations of one client beside one, and 20 watches, at the same time. Each server has one client that
    renews; `also` has more rows of the one with 1,000.
    """
    with ExitStack() as stack:
        thousand = stack.enter_context(led("1,000 registrations", *rust, "register", crowded.url, "1000"))
        one = stack.enter_context(led("one registration", *rust, "register", quiet.url, "1"))
        twenty = stack.enter_context(led("20 watches", *rust, "idle", quiet.url, "20"))
        for client in (thousand, one, twenty):
            client.said()
        servers = (crowded, quiet)
        renewed = [server.renewals() for server in servers]
        of_thousand, of_one, of_twenty, of_crowded, of_quiet = shares(
            thousand.pid, one.pid, twenty.pid, crowded.process, quiet.process
        )
        rates = [(server.renewals() - n) / IDLE for server, n in zip(servers, renewed, strict=True)]
        more = list(also(thousand))
    name, beside = f"{registry}: 1,000 registrations on one client, ", "one registration"
    yield row(f"{name}renewals", "a second", [rates[0]] * 3, beside, [rates[1]] * 3, goals.renewals)
    yield row(f"{name}CPU when idle", "% of a core", of_thousand, beside, of_one, goals.client)
    also_watched = "one registration and 20 watches"
    yield row(f"{name}CPU of the server", "% of a core", of_crowded, also_watched, of_quiet, goals.server)
    yield row(f"{registry}: idle client with 20 watched services", "% of a core", of_twenty, goal="0.1 %")
    yield from more
