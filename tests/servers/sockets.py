"""The TCP connections of a process, as the kernel counts them. Of Linux's /proc."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ESTABLISHED = "01"


def connections(
    endpoints: Iterable[str], process: int | str = "self", among: Iterable[str] | None = None
) -> Counter[str]:
    """The open ones to each of some endpoints (host:port of IPv4), all or those `among` some descriptors."""
    folder = Path("/proc") / str(process)
    looked_at = descriptors(process) if among is None else among
    ours = {what.removeprefix("socket:[").removesuffix("]") for what in looked_at if "socket:[" in what}
    wanted = set(endpoints)
    found: Counter[str] = Counter()
    for line in (folder / "net" / "tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *_, inode = line.split()[:10]
        endpoint = _endpoint(remote)
        if state == ESTABLISHED and inode in ours and endpoint in wanted:
            found[endpoint] += 1
    return found


def descriptors(process: int | str = "self") -> list[str]:
    """What each open one stands for, such as `socket:[4711]`."""
    found = []
    for link in (Path("/proc") / str(process) / "fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except OSError:
            # The one of this listing, and others' that were closed since.
            pass
    return found


def _endpoint(hexadecimal: str) -> str:
    address, port = hexadecimal.split(":")
    octets = reversed(bytes.fromhex(address))
    return f"{'.'.join(map(str, octets))}:{int(port, 16)}"
