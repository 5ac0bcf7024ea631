"""The rows of picking an instance, with its report: callsheet in each language, beside what no pick can do without, and
beside the pickers of other libraries. Everyone picks one of 100 instances, in turns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from languages import Language, led
from pairs import BUILT, MANIFESTS, Peer, pinned
from rows import Row, row, spread

ROOT = Path(__file__).parent.parent.parent

WARM_UP = 3
ROUNDS = 9


@dataclass(frozen=True)
class Picker(Peer):
    """A library's, in this language."""

    #: What is measured: all that one call needs of it.
    does: str = ""
    language: str = ""


#: The program with those in Go.
GO = str(BUILT / "go-pickers")
_GO_MOD = MANIFESTS / "pickers" / "go.mod"
_KRATOS = pinned(_GO_MOD, r"kratos/v2 v(\S+)")
_SELECTS = "Select() and its done()"

KRATOS_WRR = Picker("kratos wrr", [GO, "kratos-wrr"], version=_KRATOS, does=_SELECTS, language="Go")
KRATOS_P2C = Picker("kratos p2c", [GO, "kratos-p2c"], version=_KRATOS, does=_SELECTS, language="Go")
GO_ZERO_P2C = Picker(
    "go-zero p2c",
    [GO, "go-zero-p2c"],
    version=pinned(_GO_MOD, r"go-zero v(\S+)"),
    does="Pick() and Done() of its gRPC picker",
    language="Go",
)
GRPC_ROUND_ROBIN = Picker(
    "gRPC-Go round_robin",
    [GO, "grpc-round-robin"],
    version=pinned(_GO_MOD, r"google.golang.org/grpc v(\S+)"),
    does="Pick(), which has no Done() and counts no calls",
    language="Go",
)
TOWER_P2C = Picker(
    "tower p2c",
    [str(ROOT / "target" / "release" / "callsheet-bench"), "tower"],
    version=pinned(ROOT / "Cargo.lock", r'name = "tower"\nversion = "(.+)"'),
    does="poll_ready(), call() and its answer at once, by peak EWMA",
    language="Rust",
)

PEERS = {
    "round_robin": [KRATOS_WRR, GRPC_ROUND_ROBIN],
    "p2c": [KRATOS_P2C, GO_ZERO_P2C, TOWER_P2C],
}

#: Of a `p2c`, relative to the fastest peer's.
HALF, FIFTH = "0.5 x", "0.2 x"


class Sort(NamedTuple):
    """How a language picks, and what it is to reach."""

    #: In which language there may be a peer of its own.
    near: str
    floor: str
    #: Nanoseconds of each policy.
    goals: dict[str, str]
    #: Beside the fastest `p2c`.
    ahead: str
    threads: bool = True


_EMPTY = "two empty calls"
SORTS = {
    "Rust": Sort(
        "Rust",
        "table load, hold, release; for p2c two TSC reads",
        {"round_robin": "30 ns", "p2c": "60 ns"},
        FIFTH,
    ),
    "C": Sort("Rust", _EMPTY, {"round_robin": "30 ns", "p2c": "60 ns"}, FIFTH),
    "Go": Sort("Go", _EMPTY, {"round_robin": "100 ns", "p2c": "150 ns"}, HALF),
    "Python": Sort("", _EMPTY, {"round_robin": "150 ns", "p2c": "150 ns"}, HALF),
    "Node": Sort("", _EMPTY, {"round_robin": "150 ns", "p2c": "150 ns"}, HALF, threads=False),
}

#: By what `named` says.
Figures = dict[str, list[float]]


def named(name: str, how: str, policy: str, threads: int = 1) -> str:
    """What a process is called that does this."""
    return f"{name} {how} {policy} {threads}"


def many_threads() -> list[int]:
    """Two, and each power of two that the machine has cores for."""
    cores = os.cpu_count() or 1
    return [2, *(1 << n for n in range(2, cores.bit_length()) if 1 << n <= cores)]


def processes(languages: list[Language]) -> Iterator[tuple[str, list[str]]]:
    """Everyone who picks, and the command."""
    for policy, peers in PEERS.items():
        for language in languages:
            sort = SORTS[language.name]
            for how in ("pick", "floor", *(["with"] if language.name == "Python" else [])):
                yield named(language.name, how, policy), [*language.command, how, policy, "1"]
            for threads in many_threads() if sort.threads else []:
                command = [*language.command, "pick", policy, str(threads)]
                yield named(language.name, "pick", policy, threads), command
        for peer in peers:
            # tower's belongs to one thread.
            for threads in [1, *many_threads()] if peer.language == "Go" else [1]:
                yield named(peer.name, "pick", policy, threads), [*peer.command, str(threads)]


def measured(commands: dict[str, list[str]]) -> Figures:
    """Nanoseconds of one call, of several rounds that all have in turns."""
    found: Figures = {what: [] for what in commands}
    with ExitStack() as stack:
        pickers = [stack.enter_context(led(what, *command)) for what, command in commands.items()]
        for turn in range(WARM_UP + ROUNDS):
            at = turn % len(pickers)
            for picker in pickers[at:] + pickers[:at]:
                picker.go_on()
                nanoseconds = float(picker.said())
                if turn >= WARM_UP:
                    found[picker.what].append(nanoseconds)
    return found


def beside_peers(name: str, policy: str, of: Figures) -> Iterator[Row]:
    """A language beside the fastest, and beside those that are in its own language or nearest to it."""
    sort, ours = SORTS[name], spread(of[named(name, "pick", policy)])
    theirs = {peer.called: of[named(peer.name, "pick", policy)] for peer in PEERS[policy]}
    fastest = min(theirs, key=lambda peer: median(theirs[peer]))
    near = [peer.called for peer in PEERS[policy] if peer.language == sort.near and peer.called != fastest]
    for peer in (fastest, *near):
        goal = sort.ahead if peer == fastest and policy == "p2c" else "-"
        yield row(f"{name} pick()+done(), {policy}", "ns", ours, peer, spread(theirs[peer]), goal)


def beside_floors(name: str, policy: str, of: Figures) -> Iterator[Row]:
    """A language beside the least that it could take."""
    sort, floor = SORTS[name], spread(of[named(name, "floor", policy)])
    ours = spread(of[named(name, "pick", policy)])
    yield row(f"{name} pick()+done(), {policy}", "ns", ours, sort.floor, floor, sort.goals[policy])
    if block := of.get(named(name, "with", policy)):
        yield row(f"{name} with pick(), {policy}", "ns", spread(block), sort.floor, floor, "300 ns")


def on_threads(what: str, name: str, policy: str, of: Figures) -> Iterator[Row]:
    """How a pick scales."""
    alone = spread(of[named(name, "pick", policy)])
    for threads in many_threads():
        if each := of.get(named(name, "pick", policy, threads)):
            yield row(f"{what}, {threads} threads, each", "ns", spread(each), "one thread", alone)


def rows(languages: list[Language]) -> Iterator[Row]:
    """Every row."""
    languages = [language for language in languages if language.name in SORTS]
    names = [language.name for language in languages]
    of = measured(dict(processes(languages)))
    for policy, peers in PEERS.items():
        for peer in peers:
            figure = spread(of[named(peer.name, "pick", policy)])
            yield row(f"peer's pick: {peer.called}, {peer.does}", "ns", figure)
        for name in names:
            yield from beside_peers(name, policy, of)
    for policy in PEERS:
        for name in names:
            yield from beside_floors(name, policy, of)
    for policy, peers in PEERS.items():
        for name in names:
            yield from on_threads(f"{name} pick()+done(), {policy}", name, policy, of)
        for peer in peers:
            yield from on_threads(f"peer's pick: {peer.called}", peer.name, policy, of)
