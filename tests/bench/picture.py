"""The picture of the README: what callsheet takes in each language as a part of what a peer takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pairs
import picks
from rows import ratio

if TYPE_CHECKING:
    from rows import Row

#: Also that of the picture of `make simulate`.
STYLE = Path(__file__).parent.parent / "shared" / "picture.css"

_ETCD = {pair.language: pair.peer.called for pair in pairs.ETCD.pairs}
_CONSUL = {pair.language: pair.peer.called for pair in pairs.CONSUL.pairs}
#: Beside the fastest, whoever that is.
_PICKS = dict.fromkeys(picks.SORTS, "")
_FASTEST = dict.fromkeys(_CONSUL, "")


class Panel(NamedTuple):
    """One question."""

    title: str
    #: The name of each language's row.
    row: str
    #: Beside whom.
    peers: Mapping[str, str]


PANELS = (
    Panel("A pick and its report, p2c", "{} pick()+done(), p2c", _PICKS),
    Panel(
        "etcd: a change until it is there", "etcd: put to {} callback over the put's round trip, p50", _ETCD
    ),
    Panel("etcd: CPU of changes", "etcd: CPU of 1,000 changes, {}", _ETCD),
    Panel(
        "etcd: first list of 10,000 instances", "{} connect to first list of 10,000 instances, etcd:", _ETCD
    ),
    Panel("etcd: memory of 10,000 instances", "{} memory of 10,000 instances, etcd:", _ETCD),
    Panel("Consul: a change until it is there", "consul: registration to {} callback, p50", _CONSUL),
    Panel("Consul: CPU of changes", "consul: CPU of 1,000 changes, {}", _CONSUL),
    Panel(
        "Consul: first list of 1,000 instances",
        "{} connect to first list of 1,000 instances, consul:",
        _FASTEST,
    ),
)

WIDTH = 350
#: What is left of the bars.
LEFT = 64
#: The length of a bar that is as long as the peer's, and the longest.
SAME, LONGEST = 110, 140
LINE = 17
HEAD = 26
GAP = 14


def drawn(rows: list[Row]) -> str:
    """All panels, for light and dark pages."""
    height = HEAD + max(len(panel.peers) for panel in PANELS) * LINE + GAP
    whole = (len(PANELS) + 1) // 2 * height + 24
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {whole}" role="img" '
        'aria-label="What callsheet takes in each language, as a part of what a peer takes">',
        f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>",
    ]
    for number, panel in enumerate(PANELS):
        svg.append(f'<g transform="translate({number % 2 * WIDTH} {number // 2 * height})">')
        svg += panel_of(panel, rows)
        svg.append("</g>")
    y = whole - 16
    svg += [
        f'<rect class="strong" x="{LEFT}" y="{y}" width="12" height="12"/>',
        text(LEFT + 18, y + 10, "callsheet, as a part of what the peer takes"),
        f'<rect class="behind" x="{WIDTH}" y="{y}" width="12" height="12"/>',
        text(WIDTH + 18, y + 10, "the peer is ahead"),
        f'<line class="axis" x1="{WIDTH + 146}" y1="{y - 1}" x2="{WIDTH + 146}" y2="{y + 13}"/>',
        text(WIDTH + 154, y + 10, "as much as the peer"),
        "</svg>\n",
    ]
    return "\n".join(svg)


def panel_of(panel: Panel, rows: list[Row]) -> Iterator[str]:
    """Its title, a bar for each language, and where the bars would be as long as the peer's."""
    yield f'<text x="{LEFT}" y="16">{escape(panel.title)}</text>'
    bottom = HEAD + len(panel.peers) * LINE
    yield f'<line class="axis" x1="{LEFT + SAME}" y1="{HEAD - 4}" x2="{LEFT + SAME}" y2="{bottom}"/>'
    for number, (language, peer) in enumerate(panel.peers.items()):
        y = HEAD + number * LINE
        yield text(LEFT - 6, y + 10, language, ' text-anchor="end"')
        name = panel.row.format(language)
        row = next((row for row in rows if row["name"] == name and row["floor"].startswith(peer)), None)
        if row is None:
            raise ValueError(f"nobody measured {name} beside {peer or 'a peer'}")
        yield from bar(y, ratio(row), row["floor"].rpartition(" ")[0])


def bar(y: int, of: float | None, peer: str) -> Iterator[str]:
    """What a language takes of what its peer takes."""
    # A change that is there as soon as it is answered takes nothing.
    said = f"too little to compare with {peer}" if of is None else f"{of:.2f} of {peer}"
    length = 0 if of is None else max(1, min(LONGEST, round(of * SAME)))
    kind = "strong" if of is None or of <= 1 else "behind"
    yield f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length}" height="12"/>'
    yield text(LEFT + max(length, SAME) + 6, y + 10, said)


def text(x: int, y: int, said: str, also: str = "") -> str:
    """Small."""
    return f'<text class="small" x="{x}" y="{y}"{also}>{escape(said)}</text>'
