"""The rows that are measured on a real agent of Consul: callsheet in each language, beside its peers in the same
run.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import changes
import first_lists
import idle
import places
from languages import Language, Led, led, watched
from pairs import CONSUL
from putter import Putter, putter
from rows import Row, row, spread
from servers import Agent, Consul

if TYPE_CHECKING:
    from putter import Put

MANY = 1_000
CROWD = 300
#: Of the services of the crowd, each changed once.
CHANGED = 200
#: Longest pause between two of these changes, so that they take as long as several turns of queries.
PAUSE = 0.1
#: Of the default TTL.
PERIOD = 10 / 3
PERIODS = 3


#: A folder in memory, where there is one.
MEMORY = Path("/dev/shm")


@contextmanager
def in_memory() -> Iterator[None]:
    """Agents that start here write to no disk, like those of `consul agent -dev`: an agent syncs several files at each
    registration, which is more than all that clients do.
    """
    before = tempfile.tempdir
    tempfile.tempdir = str(MEMORY) if MEMORY.is_dir() else before
    try:
        yield
    finally:
        tempfile.tempdir = before


def port(agent: Agent) -> int:
    """Of its HTTP interface."""
    return int(agent.endpoint.rpartition(":")[2])


def process_of(agent: Agent) -> int:
    """Its number."""
    assert agent.process.pid
    return agent.process.pid


def settled(process: Led, agent: Agent) -> dict[str, int]:
    """What a client holds once it opens no more connections."""
    connections, before = -1, -2
    while connections != before:
        time.sleep(0.5)
        before, connections = connections, process.connections(port(agent))
    return {"connections": connections, "MiB": process.status("VmRSS") // 1024}


def crowd(
    rust: Language, consul: Consul, quiet: Consul, changing: Putter, alone: changes.Figures
) -> Iterator[Row]:
    """300 watched services: what they cost while nothing happens, and the delay of a change of any of them."""
    everyone = [places.on_consul(consul.agent.endpoint, f"service-{number}") for number in range(CROWD)]
    changing.put(everyone, 1)
    billing = places.on_consul(consul.agent.endpoint, "billing")
    changing.seed(billing, changes.INSTANCES)
    delays = []
    with led(*rust.on(f"arrive-{CROWD}", billing)) as process:
        process.said()
        settled(process, consul.agent)
        client, agent, lonely = idle.shares(process.pid, process_of(consul.agent), process_of(quiet.agent))
        puts: dict[int, Put] = {}
        for place in random.sample(everyone, CHANGED):
            puts |= changing.put([place], 1)[0]
            time.sleep(random.uniform(0, PAUSE))
        found = changes.arrivals(process, lambda numbers: puts.keys() <= set(numbers))
        # What changes afterwards, such as a check, has the same number.
        first = dict(reversed(found))
        for number, put in puts.items():
            delays.append(changes.took(first[number], put, rust, answered=CONSUL.answered))
    name = f"consul: {CROWD} watched services"
    yield row(f"{name}, CPU of the idle client, Rust", "% of a core", client)
    yield row(f"{name}, CPU of the agent", "% of a core", agent, "an agent with nobody", lonely)
    cuts = statistics.quantiles(delays, n=100)
    for cut, one in ((50, alone.p50), (99, alone.p99)):
        figure = [cuts[cut - 1]] * 3
        yield row(f"{name}, registration to Rust callback, p{cut}", "ms", figure, "one service", spread(one))


def server(consul: Consul) -> idle.Server:
    """One whose renewals are counted."""
    local = consul.agent.local
    return idle.Server(
        f"consul://{consul.agent.endpoint}",
        process_of(consul.agent),
        lambda: local.calls("PUT", "agent/check/update/_"),
    )


def tenths(agent: idle.Server, _: Led) -> Iterator[Row]:
    """How evenly renewals fill a period."""
    counts = [0] * 10
    due = time.monotonic()
    before = agent.renewals()
    for sample in range(10 * PERIODS):
        due += PERIOD / 10
        time.sleep(max(0.0, due - time.monotonic()))
        now = agent.renewals()
        counts[sample % 10] += now - before
        before = now
    name = "consul: 1,000 registrations on one client, renewals in each tenth of a third of the TTL"
    figure = spread([count / PERIODS for count in counts])
    yield row(name, "each", figure, "evenly", [100.0] * 3, "1 x, all alike")


def rows(languages: list[Language]) -> Iterator[Row]:
    """Every row."""
    rust = languages[0]
    everyone = [*languages, *CONSUL.peers]
    with in_memory(), Consul() as quiet:
        with Consul() as consul, putter(rust.command, "consul", consul.agent.endpoint) as changing:
            place_of = partial(places.on_consul, consul.agent.endpoint)
            of = changes.followed(CONSUL, everyone, place_of, changing)
            yield from changes.rows(CONSUL, of)
            many = place_of("many")
            changing.seed(many, MANY)
            yield from first_lists.rows(CONSUL, everyone, many, MANY)
        with Consul() as consul, putter(rust.command, "consul", consul.agent.endpoint) as changing:
            yield from crowd(rust, consul, quiet, changing, of[rust.name])
            for language in languages:
                url = f"consul://{consul.agent.endpoint}"
                counted = watched(language, url, lambda process: settled(process, consul.agent))
                name = f"{language.name} {CROWD} watched services, consul:"
                yield row(name, "", counted, goal="128 long polls")
        with Consul() as consul:
            crowded = server(consul)
            goals = idle.Goals(renewals="300 a second")
            yield from idle.rows(
                "consul", rust.command, crowded, server(quiet), goals, partial(tenths, crowded)
            )
