"""The rows that are measured on a real etcd: callsheet in each language, beside its peer in the same run."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from etcd_changes import changes
from languages import Language, Led, led, watched
from pairs import PAIRS, PEERS
from putter import Putter, putter
from rows import Row, row, spread
from servers import Cluster

MANY = 10_000
LISTS = 11
WEIGHINGS = 3
#: Where what many read is, so that it is there once.
SHARED = "/many/"
#: Several renewals of a lease of 10 s.
IDLE = 20.0


def first_lists(languages: list[Language], endpoint: str) -> Iterator[Row]:
    """From nothing to 10,000 instances, in turns."""
    took: dict[str, list[float]] = {language.name: [] for language in languages}
    with ExitStack() as stack:
        commands = [language.on_etcd("first", endpoint, SHARED) for language in languages]
        listers = [stack.enter_context(led(*command)) for command in commands]
        for turn in range(LISTS):
            for lister in listers[turn:] + listers[:turn]:
                lister.go_on()
                milliseconds, read = lister.said().split()
                if int(read) < 10 * MANY:
                    sys.exit(f"{lister.what} read too little: {read} characters")
                took[lister.what].append(float(milliseconds))
    for pair in PAIRS:
        name = f"{pair.language} connect to first list of {MANY:,} instances, etcd:"
        ours, peers = spread(took[pair.language]), spread(took[pair.peer.name])
        yield row(name, "ms", ours, pair.peer.called, peers, pair.first)


def weigh(languages: list[Language], endpoint: str, changing: Putter) -> Iterator[Row]:
    """What 10,000 instances add to a process, and what a change of one makes anew."""
    grown: dict[str, list[float]] = {language.name: [] for language in languages}
    fresh: dict[str, list[float]] = {language.name: [] for language in languages}
    for _ in range(WEIGHINGS):
        for language in languages:
            with led(*language.on_etcd("hold", endpoint, SHARED)) as holder:
                holder.said()
                empty = holder.status("VmRSS")
                holder.go_on()
                if (held := holder.said()) != str(MANY):
                    sys.exit(f"{language.name} holds {held} instances instead of {MANY}")
                grown[language.name].append((holder.status("VmRSS") - empty) / 1024)
                holder.go_on()
                if language not in PEERS:
                    holder.said()
                    changing.put([SHARED], 1)
                    fresh[language.name].append(float(holder.said()))
    for pair in PAIRS:
        name = f"{pair.language} change of one in {MANY:,} instances, etcd:"
        yield row(name, "new", spread(fresh[pair.language]), goal="1")
    for pair in PAIRS:
        name = f"{pair.language} memory of {MANY:,} instances, etcd:"
        ours, peers = spread(grown[pair.language]), spread(grown[pair.peer.name])
        yield row(name, "MiB", ours, pair.peer.called, peers, "1 x")


def renewals(cluster: Cluster) -> int:
    """Keep-alive requests so far."""
    metrics = cluster.members[0].metrics()
    kept = re.compile(r'grpc_server_msg_received_total{.*grpc_method="LeaseKeepAlive"')
    return int(sum(value for name, value in metrics.items() if kept.match(name)))


def idle(rust: list[str], cluster: Cluster) -> Iterator[Row]:
    """What clients cost while nothing happens, at the same time. Each etcd has one client that renews."""
    with Cluster() as other, ExitStack() as stack:
        crowded, quiet = (f"etcd://{each.endpoints[0]}/idle" for each in (cluster, other))
        thousand = stack.enter_context(led("1,000 registrations", *rust, "register", crowded, "1000"))
        one = stack.enter_context(led("one registration", *rust, "register", quiet, "1"))
        twenty = stack.enter_context(led("20 watches", *rust, "idle", quiet, "20"))
        clients = (thousand, one, twenty)
        for client in clients:
            client.said()
        before = [client.cpu() for client in clients]
        renewed = [renewals(each) for each in (cluster, other)]
        time.sleep(IDLE)
        after = [client.cpu() for client in clients]
        rates = [(renewals(each) - n) / IDLE for each, n in zip((cluster, other), renewed, strict=True)]
    of_thousand, of_one, of_twenty = (
        [(end - begin) / 1e9 / IDLE * 100] * 3 for begin, end in zip(before, after, strict=True)
    )
    name, beside = "etcd: 1,000 registrations on one client, ", "one registration"
    yield row(f"{name}keep-alive requests", "a second", [rates[0]] * 3, beside, [rates[1]] * 3, "1 x")
    yield row(f"{name}CPU when idle", "% of a core", of_thousand, beside, of_one, "1 %")
    yield row("etcd: idle client with 20 watched services", "% of a core", of_twenty, goal="0.1 %")


def watches(language: Language, cluster: Cluster) -> Row:
    """What 300 watched services take of the client, and of the server."""
    endpoint = cluster.endpoints[0]

    def taken(process: Led) -> dict[str, int]:
        watchers, settled = -1, False
        # A client has its list before its watcher.
        while not settled:
            time.sleep(0.2)
            metrics = cluster.members[0].metrics()
            settled = watchers == (watchers := int(metrics["etcd_debugging_mvcc_watcher_total"]))
        return {
            "connections": process.connections(int(endpoint.rpartition(":")[2])),
            "watch streams": int(metrics["etcd_debugging_mvcc_watch_stream_total"]),
            "watchers": watchers,
        }

    counted = watched(language, f"etcd://{endpoint}/watches", taken)
    return row(f"{language.name} 300 watched services, etcd:", "", counted, goal="1 connection, 1 stream")


def rows(languages: list[Language]) -> Iterator[Row]:
    """Every row."""
    if not Path("/proc/self/fd").exists():
        # What a process spends and holds is read from there.
        yield row("etcd", "", "measured on Linux only")
        return
    rust = languages[0].command
    with Cluster() as cluster, putter(rust, cluster.endpoints[0]) as changing:
        endpoint = cluster.endpoints[0]
        yield from changes(languages, endpoint, changing)
        changing.seed(SHARED, MANY)
        yield from first_lists([*languages, *PEERS], endpoint)
        yield from weigh([*languages, *PEERS], endpoint, changing)
    with Cluster() as cluster:
        yield from idle(rust, cluster)
        for language in languages:
            yield watches(language, cluster)
