"""Every verb: the kind of thing it is done to, the kind that it opens, and the arguments that it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driver import Wrong


@dataclass(frozen=True)
class Verb:
    """What a verb takes."""

    of: str | None = None
    opens: str | None = None
    takes: frozenset[str] = frozenset()
    #: Asked again until the answer is the expected one or `within` is over. Everything else is done once.
    question: bool = False


def verb(of: str | None = None, opens: str | None = None, takes: str = "", question: bool = False) -> Verb:
    """A verb whose arguments are words between blanks."""
    return Verb(of, opens, frozenset(takes.split()), question)


VERBS = {
    "connect": verb(opens="client", takes="url options"),
    "ping": verb("client", question=True),
    "stats": verb("client", question=True),
    "close_on_signals": verb("client"),
    "register": verb("client", "registration", "with"),
    "deregister": verb("client", takes="id"),
    "ready": verb("registration", takes="timeout"),
    "wait": verb("registration", takes="state timeout"),
    "update": verb("registration", takes="with"),
    "set_status": verb("registration", takes="status note"),
    "drain": verb("registration"),
    "beat": verb("registration"),
    "state": verb("registration", question=True),
    "lookup": verb("client", takes="service filter", question=True),
    "wait_for": verb("client", takes="service filter count timeout"),
    "services": verb("client", question=True),
    "watch": verb("client", "watch", "service filter"),
    "watch_services": verb("client", "watch"),
    "next": verb("watch"),
    "see": verb("watch", question=True),
    "on_change": verb("client", "callback", "service filter raises closes"),
    "called": verb("callback", question=True),
    "picker": verb("client", "picker", "service filter policy options"),
    "pick": verb("picker", "pick", "timeout key", question=True),
    "done": verb("pick", takes="outcome"),
    "spread": verb("picker", takes="picks failed hold", question=True),
    "ejected": verb("picker", question=True),
    "call": verb("picker", takes="attempts fails"),
    "close": verb(""),
    "listen": verb(opens="listener", takes="port answers serves"),
    "peer": verb(opens="peer", takes="env"),
    "kill": verb("peer", takes="signal"),
    "exit": verb("peer"),
    "fault": verb(takes="kind on seconds service id"),
}
#: What looks at the registry, or at what was read of it.
READS = {
    *("lookup", "wait_for", "services", "watch", "watch_services", "next", "see"),
    *("on_change", "called", "picker", "pick", "spread", "call"),
}
#: What a step may have whatever its verb is.
COMMON = frozenset({"do", "as", "of", "is", "error", "within", "in"})
INSIDE = {
    "with": {
        *("service", "port", "address", "id", "scheme", "tags", "metadata", "weight", "zone", "version"),
        *("ttl", "drain", "ready", "wait_for_port", "check"),
    },
    "filter": {"tags", "zone", "version", "metadata", "healthy"},
}
#: What the engine says where a step does not, because an API without it would wait for ever or not at all.
DEFAULTS: dict[str, dict[str, Any]] = {
    "ready": {"timeout": 10},
    "wait": {"timeout": 10},
    "wait_for": {"timeout": 10},
    "on_change": {"raises": False, "closes": ""},
    "set_status": {"note": ""},
    "spread": {"failed": [], "hold": False},
    "call": {"attempts": 1, "fails": {}},
    "fault": {"on": True, "seconds": 0, "service": "", "id": ""},
}


def request(step: dict[str, Any], url: str) -> dict[str, Any]:
    """A step as the request that a driver gets: who, on what, and with which arguments."""
    do = step.get("do")
    if not (known := VERBS.get(do)):
        raise Wrong(f"there is no verb {do!r}")
    for key in step.keys() - known.takes - COMMON:
        raise Wrong(f"{do} has no argument {key!r}")
    for key in INSIDE.keys() & step.keys():
        for inner in step[key].keys() - INSIDE[key]:
            raise Wrong(f"{key} has no {inner!r}")
    asked: dict[str, Any] = {"do": do}
    if known.of is not None:
        asked["of"] = step.get("of", known.of)
    if known.opens:
        asked["as"] = step.get("as", known.opens)
    if do in ("connect", "fault"):
        asked["url"] = url
    return asked | DEFAULTS.get(do, {}) | {key: step[key] for key in step if key in known.takes}
