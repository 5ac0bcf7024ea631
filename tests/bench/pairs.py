"""The clients of etcd that callsheet is held against: how their processes start, which language is beside which, and
what it is to reach.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from languages import Language

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILT = ROOT / "target" / "bench"


@dataclass(frozen=True)
class Peer(Language):
    """Started as callsheet's processes are, with an endpoint and a prefix instead of a URL."""

    version: str = ""

    @property
    def called(self) -> str:
        """As the table has it."""
        return f"{self.name} {self.version}"

    def on_etcd(self, mode: str, endpoint: str, prefix: str) -> tuple[str, ...]:
        return (self.name, *self.command, mode, endpoint, f"{prefix}billing/")


def pinned(manifest: Path, pattern: str) -> str:
    """The version that a manifest names."""
    found = re.search(pattern, manifest.read_text(encoding="utf-8"))
    assert found, f"{manifest} names no version as {pattern}"
    return found[1]


MANIFESTS = HERE / "peers"

RUST = Peer(
    "etcd-client",
    [str(ROOT / "target" / "release" / "callsheet-bench"), "bare"],
    version=pinned(ROOT / "Cargo.lock", r'name = "etcd-client"\nversion = "(.+)"'),
)
GO = Peer(
    "Go client",
    [str(BUILT / "go-client")],
    time_of_day=True,
    version=pinned(MANIFESTS / "go" / "go.mod", r"etcd/client/v3 v(\S+)"),
)
PYTHON = Peer(
    "aetcd",
    [str(BUILT / "python" / "bin" / "python"), str(MANIFESTS / "peer_aetcd.py")],
    version=pinned(MANIFESTS / "requirements.txt", r"aetcd==(\S+)"),
)
NODE = Peer(
    "npm etcd3",
    ["node", "--expose-gc", str(MANIFESTS / "peer_etcd3.js")],
    version=pinned(MANIFESTS / "package.json", r'"etcd3": "(.+)"'),
)
PEERS = [RUST, GO, PYTHON, NODE]


@dataclass(frozen=True)
class Pair:
    """A language, its peer, and the goals; `x` is times what the peer has."""

    language: str
    peer: Peer
    #: From put to callback, over the put's own round trip.
    latency: str
    #: CPU, and of whom.
    cpu: str
    cpu_peer: Peer
    #: From nothing to the first list.
    first: str


PAIRS = [
    Pair("Rust", RUST, "0.10 ms", "0.5 x", GO, "1.1 x"),
    Pair("C", RUST, "0.10 ms", "0.5 x", GO, "1.1 x"),
    Pair("Go", GO, "0.10 ms", "0.5 x", GO, "1 x"),
    Pair("Python", PYTHON, "0.15 ms", "0.25 x", PYTHON, "60 ms"),
    Pair("asyncio", PYTHON, "0.15 ms", "0.25 x", PYTHON, "60 ms"),
    Pair("Node", NODE, "0.15 ms", "0.25 x", NODE, "60 ms"),
]
