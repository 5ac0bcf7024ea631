"""The rows that are measured on a real etcd: callsheet in each language, beside its peer in the same run."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from functools import partial

import changes
import first_lists
import idle
import places
from languages import Language, Led, led, watched
from pairs import ETCD
from places import Place
from putter import Putter, putter
from rows import Row, row, spread
from servers import Cluster

MANY = 10_000
WEIGHINGS = 3


def change_rows(languages: list[Language], endpoint: str, changing: Putter) -> Iterator[Row]:
    """Changes until they are there, also where 300 more services are watched."""
    crowded = Language("Rust, 300 services", languages[0].command, following="arrive-300")
    followers = [*languages, *ETCD.peers, crowded]
    of = changes.followed(ETCD, followers, lambda name: places.on_etcd(endpoint, f"/{name}"), changing)
    yield from changes.rows(ETCD, of)
    alone, many = of[languages[0].name], of[crowded.name]
    name = "etcd: 300 watched services, put to Rust callback, p50"
    yield row(name, "ms", spread(many.p50), "one watched service", spread(alone.p50))
    name = "etcd: 300 watched services, CPU of 1,000 changes, Rust"
    yield row(name, "ms", spread(many.cpu), "one watched service", spread(alone.cpu))


def weigh(languages: list[Language], place: Place, changing: Putter) -> Iterator[Row]:
    """What 10,000 instances add to a process, and what a change of one makes anew."""
    grown: dict[str, list[float]] = {language.name: [] for language in languages}
    fresh: dict[str, list[float]] = {language.name: [] for language in languages}
    for _ in range(WEIGHINGS):
        for language in languages:
            with led(*language.on("hold", place)) as holder:
                holder.said()
                empty = holder.status("VmRSS")
                holder.go_on()
                if (held := holder.said()) != str(MANY):
                    sys.exit(f"{language.name} holds {held} instances instead of {MANY}")
                grown[language.name].append((holder.status("VmRSS") - empty) / 1024)
                holder.go_on()
                if language not in ETCD.peers:
                    holder.said()
                    changing.put([place], 1)
                    fresh[language.name].append(float(holder.said()))
    for pair in ETCD.pairs:
        name = f"{pair.language} change of one in {MANY:,} instances, etcd:"
        yield row(name, "new", spread(fresh[pair.language]), goal="1")
    for pair in ETCD.pairs:
        name = f"{pair.language} memory of {MANY:,} instances, etcd:"
        yield from ETCD.rows(name, "MiB", grown, pair, ((pair.peer, "1 x"),))


def server(cluster: Cluster) -> idle.Server:
    """One whose keep-alive requests are counted."""
    kept = re.compile(r'grpc_server_msg_received_total{.*grpc_method="LeaseKeepAlive"')
    member = cluster.members[0]

    def renewals() -> int:
        return int(sum(value for name, value in member.metrics().items() if kept.match(name)))

    assert member.process.pid
    return idle.Server(f"etcd://{cluster.endpoints[0]}/idle", member.process.pid, renewals)


def taken(cluster: Cluster, process: Led) -> dict[str, int]:
    """What 300 watched services take of the client's connections, and of the server."""
    watchers, settled = -1, False
    # A client has its list before its watcher.
    while not settled:
        time.sleep(0.2)
        metrics = cluster.members[0].metrics()
        settled = watchers == (watchers := int(metrics["etcd_debugging_mvcc_watcher_total"]))
    return {
        "connections": process.connections(int(cluster.endpoints[0].rpartition(":")[2])),
        "watch streams": int(metrics["etcd_debugging_mvcc_watch_stream_total"]),
        "watchers": watchers,
    }


def rows(languages: list[Language]) -> Iterator[Row]:
    """Every row."""
    rust = languages[0].command
    with Cluster() as cluster, putter(rust, "etcd", cluster.endpoints[0]) as changing:
        endpoint = cluster.endpoints[0]
        yield from change_rows(languages, endpoint, changing)
        many = places.on_etcd(endpoint, "/many")
        changing.seed(many, MANY)
        yield from first_lists.rows(ETCD, [*languages, *ETCD.peers], many, MANY)
        yield from weigh([*languages, *ETCD.peers], many, changing)
    with Cluster() as cluster, Cluster() as other:
        goals = idle.Goals(renewals="1 x", client="1 %")
        yield from idle.rows("etcd", rust, server(cluster), server(other), goals)
    with Cluster() as cluster:
        for language in languages:
            counted = watched(language, f"etcd://{cluster.endpoints[0]}/watches", partial(taken, cluster))
            name = f"{language.name} 300 watched services, etcd:"
            yield row(name, "", counted, goal="1 connection, 1 stream")
