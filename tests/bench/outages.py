"""What a registry that is away costs: the first answer of a program that starts then, lookups while the breaker is
open, and CPU.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import callsheet
from idle import shares
from languages import PATIENCE, Language, led, provider
from rows import Row, row, spread
from servers import Cluster, Consul

if TYPE_CHECKING:
    from servers import Proxy

INSTANCES = 100
STARTS = 7
WATCHED = 50
#: Seconds that CPU is counted.
OUTAGE = 600.0

#: What happens to connections, how it is done, and within how many milliseconds there is to be an answer.
FAULTS: tuple[tuple[str, Callable[[Proxy], None], str], ...] = (
    ("refuses", lambda proxy: proxy.disable(), "20 ms"),
    ("swallows", lambda proxy: proxy.blackhole(), "70 ms"),
)


def first_answer(language: Language, url: str) -> float:
    """Milliseconds from `connect` to a list, in a new process."""
    with led(language.name, *language.command, "first", url, "billing") as process:
        process.go_on()
        milliseconds, read = process.said().split()
        assert int(read) == 6 * INSTANCES, f"{language.name} read {read} characters"
    return float(milliseconds)


def starts(languages: list[Language], registry: str, proxy: Proxy, folder: Path) -> Iterator[Row]:
    """Programs that start while the registry is away, and find a saved list."""
    url = f"{registry}://{proxy.endpoint}?cache_dir={folder}"
    with callsheet.connect(url) as client:
        client.wait_for("billing", count=INSTANCES, timeout=30)
    there = {
        language.name: spread([first_answer(language, url) for _ in range(STARTS)]) for language in languages
    }
    for fault, hurt, goal in FAULTS:
        hurt(proxy)
        for language in languages:
            took = spread([first_answer(language, url) for _ in range(STARTS)])
            name = f"{language.name} start to first answer, {registry} {fault} connections"
            yield row(name, "ms", took, "one that answers", there[language.name], goal)
        proxy.enable()
        proxy.heal()


def spared(languages: list[Language], registry: str, proxy: Proxy) -> Iterator[Row]:
    """Lookups of services that nothing is known of, with the breaker open."""
    for fault, hurt, _ in FAULTS:
        hurt(proxy)
        for language in languages:
            url = f"{registry}://{proxy.endpoint}?timeout=500ms"
            with led(language.name, *language.command, "spared", url, "nobody") as process:
                took = [float(milliseconds) for milliseconds in process.said().split()]
            name = f"{language.name} lookup with the breaker open, {registry} {fault} connections"
            yield row(name, "ms", spread(took), goal="1 ms")
        proxy.enable()
        proxy.heal()


def idling(rust: Language, urls: dict[str, str], kill: Callable[[], None]) -> Iterator[Row]:
    """CPU of clients that follow services of a registry that is down, side by side."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                led(registry, *rust.command, "idle", url, str(WATCHED), patience=OUTAGE + PATIENCE)
            )
            for registry, url in urls.items()
        ]
        for client in clients:
            client.said()
        there = shares(*(client.pid for client in clients))
        kill()
        # Until all know.
        time.sleep(10)
        away = shares(*(client.pid for client in clients), seconds=OUTAGE)
    for registry, before, after in zip(urls, there, away, strict=True):
        name = f"{registry}: {WATCHED} watched services, ten minutes without the server"
        yield row(name, "% of a core", after, "with the server, idle", before, "0.5 %")


def rows(languages: list[Language]) -> Iterator[Row]:
    """Every row."""
    with Cluster(proxied=True) as etcd, Consul(proxied=True) as consul, tempfile.TemporaryDirectory() as name:
        places: dict[str, Cluster | Consul] = {"etcd": etcd, "consul": consul}
        for registry, servers in places.items():
            with provider(f"{registry}://{servers.members[0].endpoint}", INSTANCES):
                yield from starts(languages, registry, servers.proxies[0], Path(name) / registry)
            yield from spared(languages[:1], registry, servers.proxies[0])
        urls = {
            registry: f"{registry}://{servers.members[0].endpoint}" for registry, servers in places.items()
        }

        def kill() -> None:
            for servers in places.values():
                servers.kill()

        yield from idling(languages[0], urls, kill)
