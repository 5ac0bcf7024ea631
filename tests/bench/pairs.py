"""The clients that callsheet is held against: how their processes start, which language is beside which, and what it is
to reach.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from languages import Language
from rows import Row, row, spread

if TYPE_CHECKING:
    from places import Place

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILT = ROOT / "target" / "bench"


@dataclass(frozen=True)
class Peer(Language):
    """Started as callsheet's processes are, with where its registry is instead of a URL."""

    version: str = ""

    @property
    def called(self) -> str:
        """As the table has it."""
        return f"{self.name} {self.version}"

    def on(self, mode: str, place: Place) -> tuple[str, ...]:
        return (self.name, *self.command, mode, *place.peers)


def pinned(manifest: Path, pattern: str) -> str:
    """The version that a manifest names."""
    found = re.search(pattern, manifest.read_text(encoding="utf-8"))
    assert found, f"{manifest} names no version as {pattern}"
    return found[1]


MANIFESTS = HERE / "peers"
#: The Python with the peers' packages.
PYTHON = str(BUILT / "python" / "bin" / "python")
#: The program with both of Go's clients.
GO = str(BUILT / "go-client")

ETCD_RUST = Peer(
    "etcd-client",
    [str(ROOT / "target" / "release" / "callsheet-bench"), "bare"],
    version=pinned(ROOT / "Cargo.lock", r'name = "etcd-client"\nversion = "(.+)"'),
)
ETCD_GO = Peer(
    "Go client",
    [GO, "etcd"],
    time_of_day=True,
    version=pinned(MANIFESTS / "go" / "go.mod", r"etcd/client/v3 v(\S+)"),
)
ETCD_PYTHON = Peer(
    "aetcd",
    [PYTHON, str(MANIFESTS / "peer_aetcd.py")],
    version=pinned(MANIFESTS / "requirements.txt", r"aetcd==(\S+)"),
)
ETCD_NODE = Peer(
    "npm etcd3",
    ["node", "--expose-gc", str(MANIFESTS / "peer_etcd3.js")],
    version=pinned(MANIFESTS / "package.json", r'"etcd3": "(.+)"'),
)

CONSUL_GO = Peer(
    "Go client",
    [GO, "consul"],
    time_of_day=True,
    version=pinned(MANIFESTS / "go" / "go.mod", r"consul/api v(\S+)"),
)
CONSUL_PYTHON = Peer(
    "py-consul",
    [PYTHON, str(MANIFESTS / "peer_pyconsul.py")],
    version=pinned(MANIFESTS / "requirements.txt", r"py-consul==(\S+)"),
)
CONSUL_NODE = Peer(
    "npm consul",
    ["node", "--expose-gc", str(MANIFESTS / "peer_consul.js")],
    version=pinned(MANIFESTS / "package.json", r'"consul": "(.+)"'),
)

#: Beside whom, and what is to be reached; `x` is times what that one has. `None` is the best of all.
Goals = tuple[tuple[Peer | None, str], ...]


@dataclass(frozen=True)
class Pair:
    """A language, its own peer, and the goals."""

    language: str
    peer: Peer
    #: From a change to its callback.
    latency: Goals
    #: CPU of changes.
    cpu: Goals
    #: From nothing to the first list.
    first: Goals


def _etcd(language: str, peer: Peer, latency: str, cpu: Goals, first: str) -> Pair:
    return Pair(language, peer, latency=((peer, latency),), cpu=cpu, first=((peer, first),))


def _consul(language: str, peer: Peer) -> Pair:
    own: Goals = () if peer is CONSUL_GO else ((peer, "-"),)
    # Whoever is ahead of npm's is so in every language.
    ahead: Goals = (*(goal for goal in own if peer is not CONSUL_NODE), (CONSUL_NODE, "1 x"))
    return Pair(
        language,
        peer,
        latency=((CONSUL_GO, "0.75 x"), *ahead),
        cpu=((CONSUL_GO, "0.33 x"), *own),
        first=((None, "1 x"),),
    )


@dataclass(frozen=True)
class Contest:
    """A registry, and who is measured on it beside whom."""

    registry: str
    #: What a change is called there.
    change: str
    pairs: list[Pair]
    #: Changes of one round, so of one p99.
    changes: int
    #: Whether a change counts from its answer on, and not from when it was asked for.
    answered: bool

    @property
    def peers(self) -> list[Peer]:
        """Each once."""
        return list({pair.peer.name: pair.peer for pair in self.pairs}.values())

    def rows(
        self, name: str, unit: str, of: dict[str, list[float]], pair: Pair, goals: Goals
    ) -> Iterator[Row]:
        """A language's figure beside those that its goals are of."""
        for goal_of, goal in goals:
            peer = goal_of or min(self.peers, key=lambda peer: statistics.median(of[peer.name]))
            yield row(name, unit, spread(of[pair.language]), peer.called, spread(of[peer.name]), goal)


ETCD = Contest(
    "etcd",
    "put",
    [
        _etcd("Rust", ETCD_RUST, "0.10 ms", ((ETCD_GO, "0.5 x"), (ETCD_RUST, "-")), "1.1 x"),
        _etcd("C", ETCD_RUST, "0.10 ms", ((ETCD_GO, "0.5 x"), (ETCD_RUST, "-")), "1.1 x"),
        _etcd("Go", ETCD_GO, "0.10 ms", ((ETCD_GO, "0.5 x"),), "1 x"),
        _etcd("Python", ETCD_PYTHON, "0.15 ms", ((ETCD_PYTHON, "0.25 x"),), "60 ms"),
        _etcd("asyncio", ETCD_PYTHON, "0.15 ms", ((ETCD_PYTHON, "0.25 x"),), "60 ms"),
        _etcd("Node", ETCD_NODE, "0.15 ms", ((ETCD_NODE, "0.25 x"),), "60 ms"),
    ],
    changes=200,
    answered=True,
)

# The agent answers before it tells the servers, so that answers say little.
CONSUL = Contest(
    "consul",
    "registration",
    [
        _consul("Rust", CONSUL_GO),
        _consul("C", CONSUL_GO),
        _consul("Go", CONSUL_GO),
        _consul("Python", CONSUL_PYTHON),
        _consul("asyncio", CONSUL_PYTHON),
        _consul("Node", CONSUL_NODE),
    ],
    changes=100,
    answered=False,
)
