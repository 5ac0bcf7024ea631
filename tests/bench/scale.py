"""What ten times as much costs one client: instances of a service, services, registrations, on each registry. The rows
are printed with all others, and written into docs/scale.md.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import changes
from idle import shares
from languages import cpu_of, led
from on_consul import in_memory, process_of
from places import Place
from putter import putter
from rows import Row, row
from servers import Cluster, Consul

if TYPE_CHECKING:
    from languages import Language, Led
    from putter import Putter

PAGE = Path(__file__).parent.parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- scale: written by `make bench ONLY=scale` -->\n", "<!-- end of scale -->\n"

REGISTRIES = ("etcd", "consul", "local")
FACTOR = 10
#: What each kind has at the smaller size.
SIZES = {"instances": 1_000, "services": 100, "registrations": 100}
#: Seconds that changes go on.
CHANGING = 15.0
#: Seconds in which a client that keeps registrations does nothing else: three renewals.
IDLE = 10.0
#: Of the instances of a service, changed in a second.
SHARE = 0.01
#: Changes a second where services are followed, each in another one.
RATE = 5.0


class Measure(NamedTuple):
    """What a figure is of, and its unit."""

    name: str
    unit: str


LIVE = Measure("until all are there", "ms")
MEMORY = Measure("memory", "MiB")
CLIENT = Measure("CPU of the client", "% of a core")
SERVER = Measure("CPU of the server", "% of a core")
P50 = Measure("a change until its callback, p50", "ms")
P99 = Measure("a change until its callback, p99", "ms")
REGISTERED = Measure("until all are registered", "ms")
BARE = Measure("the same by the agent's own interface", "ms")
RENEWING = Measure("CPU of the idle client", "% of a core")
RENEWED = Measure("CPU of the server then", "% of a core")
CLOSED = Measure("until all are withdrawn", "ms")

Figures = dict[Measure, float]


@dataclass(frozen=True)
class Ground:
    """A registry that runs."""

    registry: str
    url: str
    #: Where whoever changes instances finds it.
    endpoint: str
    #: Its process, if it has one.
    server: int | None

    def place(self, service: str) -> Place:
        """Where the instances of a service are."""
        put_at = f"/services/{service}/" if self.registry == "etcd" else service
        return Place((self.url, service), (self.endpoint, put_at), put_at)


@contextmanager
def ground(registry: str) -> Iterator[Ground]:
    """A fresh one."""
    if registry == "etcd":
        with Cluster() as cluster:
            endpoint = cluster.endpoints[0]
            yield Ground(registry, f"etcd://{endpoint}", endpoint, cluster.members[0].process.pid)
    elif registry == "consul":
        with in_memory(), Consul() as consul:
            endpoint = consul.agent.endpoint
            yield Ground(registry, f"consul://{endpoint}", endpoint, process_of(consul.agent))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/registry.db"
            yield Ground(registry, f"local://{path}", path, None)


def begun(client: Led, what: Measure) -> Figures:
    """How long it took a client to be where it is to be, and what it holds there."""
    client.said()
    empty = client.status("VmRSS")
    client.go_on()
    took = float(client.said())
    return {what: took, MEMORY: (client.status("VmRSS") - empty) / 1024}


def churned(
    on: Ground, client: Led, changing: Putter, followed: list[Place], instances: int, rate: float
) -> Figures:
    """What so many changes a second cost, and how long each of them takes."""
    count = max(2, round(rate * CHANGING))
    client.go_on()
    client.said()
    changes.arrivals(client, lambda _: True)
    processes = [client.pid, *([on.server] if on.server else [])]
    before, began = [cpu_of(process) for process in processes], time.monotonic()
    answered = changing.pace(followed, instances, count, CHANGING / count)
    seconds = time.monotonic() - began
    spent = [cpu_of(process) - cpu for process, cpu in zip(processes, before, strict=True)]
    found = changes.arrivals(client, lambda numbers: answered.keys() <= set(numbers))
    # What an instance is changed by later shows the number again.
    first = dict(reversed(found))
    # A callback may come before the answer does.
    delays = [max(0.0, (first[number] - at) / 1e6) for number, at in answered.items()]
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    shares_of = [cpu / 1e7 / seconds for cpu in spent]
    return {**dict(zip((CLIENT, SERVER), shares_of, strict=False)), P50: cuts[49], P99: cuts[98]}


def instances(rust: list[str], on: Ground, count: int) -> Figures:
    """One service, of which one instance in a hundred changes each second."""
    place = on.place("billing")
    with putter(rust, "catalog" if on.registry == "consul" else on.registry, on.endpoint) as changing:
        changing.seed(place, count)
        with led("the follower", *rust, "scale-instances", *place.ours, str(count)) as client:
            return begun(client, LIVE) | churned(on, client, changing, [place], count, count * SHARE)


def services(rust: list[str], on: Ground, count: int) -> Figures:
    """Many services, of which some change."""
    followed = [on.place(f"service-{number}") for number in range(count)]
    with putter(rust, "catalog" if on.registry == "consul" else on.registry, on.endpoint) as changing:
        changing.seed_all(followed, 1)
        with led("the follower", *rust, "scale-services", on.url, str(count)) as client:
            return begun(client, LIVE) | churned(on, client, changing, followed, 1, RATE)


def registrations(rust: list[str], on: Ground, count: int) -> Figures:
    """Many registrations, which are kept for a while and then withdrawn."""
    with led("the provider", *rust, "scale-registrations", on.url, str(count)) as client:
        figures = begun(client, REGISTERED)
        processes = [client.pid, *([on.server] if on.server else [])]
        idle = [share[1] for share in shares(*processes, seconds=IDLE)]
        client.go_on()
        took, whole = client.said().split()
        # One that is not withdrawn in time is left to its TTL.
        closed = float(took) if whole == "true" else float("inf")
        figures |= dict(zip((RENEWING, RENEWED), idle, strict=False)) | {CLOSED: closed}
    return figures | bare(rust, on, count) if on.registry == "consul" else figures


def bare(rust: list[str], on: Ground, count: int) -> Figures:
    """What an agent takes for so many registrations, without callsheet."""
    with putter(rust, on.registry, on.endpoint) as putting:
        began = time.monotonic()
        putting.seed(on.place("bare"), count)
        return {BARE: (time.monotonic() - began) * 1e3}


KINDS = {"instances": instances, "services": services, "registrations": registrations}


class Growth(NamedTuple):
    """One figure at both sizes."""

    registry: str
    kind: str
    size: int
    measure: Measure
    small: float
    large: float

    @property
    def grew(self) -> str:
        """By how much."""
        return f"{self.large / self.small:.1f} x" if self.small > 0 else "-"

    @property
    def work(self) -> str:
        """By how much there was more to do. A change of one service is no more of many."""
        return "1 x" if self.kind == "services" and self.measure in (P50, P99) else f"{FACTOR} x"


def shown(figure: float, unit: str) -> str:
    """With three digits."""
    return f"{figure:,.0f} {unit}" if figure >= 100 else f"{figure:.3g} {unit}"


def growths(rust: list[str], registries: tuple[str, ...], sizes: dict[str, int]) -> Iterator[Growth]:
    """Everything, each on a registry of its own."""
    for kind, size in sizes.items():
        for registry in registries:
            at = []
            for count in (size, size * FACTOR):
                with ground(registry) as on:
                    at.append(KINDS[kind](rust, on, count))
            small, large = at
            for measure, figure in small.items():
                yield Growth(registry, kind, size, measure, figure, large[measure])


def page(found: list[Growth]) -> str:
    """The table of docs/scale.md."""
    lines = [
        "| registry | one client | measured | at N | at 10 N | grew | its work |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for growth in found:
        registry, kind, size, (name, unit), small, large = growth
        what = f"{size:,} and {size * FACTOR:,} {kind}"
        cells = (registry, what, name, shown(small, unit), shown(large, unit), growth.grew, growth.work)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def rows(languages: list[Language]) -> Iterator[Row]:
    """Every row: what is at the larger size, beside the smaller one."""
    found = list(growths(languages[0].command, REGISTRIES, SIZES))
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + page(found) + END + rest.split(END)[1], encoding="utf-8")
    for growth in found:
        registry, kind, size, (measure, unit), small, large = growth
        name = f"{registry}: {size * FACTOR:,} {kind}, {measure}"
        yield row(name, unit, [large] * 3, f"{size:,}", [small] * 3, growth.work)
