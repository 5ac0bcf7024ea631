"""The rows as `docs/benchmarks.md` has them: prose that somebody wrote, and between two comments what was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pairs
import picks
import picture
from rows import ratio, reached, shown

if TYPE_CHECKING:
    from rows import Row

DOCS = Path(__file__).parent.parent.parent / "docs"

BEGIN, END = "<!-- measured -->\n", "<!-- end: measured -->"

PICTURE = "![What callsheet takes in each language, as a part of what a peer takes](images/benchmarks.svg)\n"

#: As the rows name them.
PEERS = frozenset(
    peer.called
    for peer in (
        *pairs.ETCD.peers,
        *pairs.CONSUL.peers,
        *(peer for all in picks.PEERS.values() for peer in all),
    )
)

#: A row is in the first of these that its name matches.
SECTIONS = (
    ("Picking an instance", r"pick\(\)|^peer's pick"),
    ("A registry that is away", r" connections$|without the server"),
    ("etcd: a change until it is there, and CPU", r"^etcd: (a put|put to|CPU of 1,000 changes, )"),
    (
        "Consul: a change until it is there, and CPU",
        r"^consul: (a registration|registration to|CPU of 1,000)",
    ),
    ("Starting, and the first list", r"first list|import|require"),
    ("Memory, and what one change makes anew", r" memory of |change of one|one change"),
    ("Many services, many registrations, nothing to do", r"registrations|watched services"),
    ("Everything else", ""),
)

Sections = dict[str, list["Row"]]


def write(rows: list[Row], machine: str) -> None:
    """Writes the page anew, and its picture."""
    path = DOCS / "benchmarks.md"
    path.write_text(written_into(path.read_text(encoding="utf-8"), rows, machine), encoding="utf-8")
    (DOCS / "images" / "benchmarks.svg").write_text(picture.drawn(rows), encoding="utf-8")


def written_into(page: str, rows: list[Row], machine: str) -> str:
    """The page with these rows instead of the last ones."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no place for what was measured")
    text = "\n".join(
        [f"Measured on {machine}. Peers: {peers(rows)}.\n", PICTURE, *summary(rows), *tables(rows)]
    )
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def peers(rows: list[Row]) -> str:
    """Those that anything was measured beside."""
    return ", ".join(dict.fromkeys(row["floor"] for row in rows if row["floor"] in PEERS))


def behind(row: Row) -> bool:
    """Whether a peer is ahead."""
    return row["floor"] in PEERS and (ratio(row) or 0) > 1


def summary(rows: list[Row]) -> Iterator[str]:
    """What a reader wants to know first: where others are better, and what was not reached."""
    contests = [row for row in rows if row["floor"] in PEERS]
    ahead = [row for row in contests if behind(row)]
    yield f"A peer is ahead in {len(ahead)} of {len(contests)} rows that have one{':' if ahead else '.'}\n"
    yield from (f"- {told(row)}: {ratio(row):.2f} times {row['floor']}" for row in ahead)
    judged = [row for row in rows if reached(row) is not None]
    missed = [row for row in judged if not reached(row)]
    yield ("\n" if ahead else "") + (
        f"{len(missed)} of {len(judged)} goals that are numbers are missed{':' if missed else '.'}\n"
    )
    for row in missed:
        of = f", {ratio(row):.2f} times {row['floor']}" if row["goal"].endswith(" x") else ""
        yield f"- {told(row)}: {shown(row['figure'], row['unit'])}{of}; the goal is {row['goal']}"
    if missed:
        yield ""


def told(row: Row) -> str:
    """Its name, before a colon: some end with a scheme."""
    return row["name"].removesuffix(":")


def tables(rows: list[Row]) -> Iterator[str]:
    """Each section with its table."""
    sections: Sections = {title: [] for title, _ in SECTIONS}
    for row in rows:
        title = next(title for title, pattern in SECTIONS if re.search(pattern, row["name"]))
        sections[title].append(row)
    for title, those in sections.items():
        if those:
            yield f"### {title}\n"
            yield "| what | median (min to max) | beside | its median (min to max) | ratio | goal |"
            yield "|---|--:|---|--:|--:|---|"
            yield from map(line, those)
            yield ""


def line(row: Row) -> str:
    """One line of a table."""
    of = ratio(row)
    share = "-" if of is None else f"**{of:.2f}: the peer is ahead**" if behind(row) else f"{of:.2f}"
    goal = row["goal"] + (", missed" if reached(row) is False else "")
    unit = row["unit"]
    cells = (
        row["name"],
        shown(row["figure"], unit),
        row["floor"],
        shown(row["floor_figure"], unit),
        share,
        goal,
    )
    return f"| {' | '.join(cells)} |"
