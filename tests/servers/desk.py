"""The fixtures for tests in other languages: a request a line of JSON on stdin, its answer a line on stdout, in order.
README.md has the table. Everything is stopped when stdin closes.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TextIO

from . import desk_consul, desk_etcd
from .cluster import Cluster
from .consul import Consul
from .warden import warden

LIFE = {"start", "stop", "kill", "pause", "resume", "restart", "wait_healthy"}
FAULTS = {"disable", "enable", "cut", "heal", "latency", "blackhole", "reset", "bandwidth", "slice"}
STARTS: dict[str, Callable[..., Any]] = {"etcd": desk_etcd.start, "consul": desk_consul.start}


class Desk:
    """What was started, by name: `etcd1`, `consul2` and so on."""

    def __init__(self) -> None:
        self._running: dict[str, Cluster | Consul] = {}
        self._started = 0
        self._folder = Path(tempfile.mkdtemp(prefix="callsheet-desk-"))
        warden.guard(self._folder)

    def close(self) -> None:
        for started in self._running.values():
            started.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        warden.release(self._folder)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        verb = str(request.pop("do"))
        if verb == "start" and "name" not in request:
            return self._new(**request)
        name = request.pop("name")
        started = self._running[name]
        if verb == "close":
            self._running.pop(name).close()
            return {}
        if verb in LIFE:
            return _life(started, verb, **request)
        if verb in FAULTS:
            return _fault(started, verb, **request)
        verbs: dict[str, Callable[..., dict[str, Any]]]
        verbs = desk_etcd.VERBS if isinstance(started, Cluster) else desk_consul.VERBS
        if verb in verbs:
            return verbs[verb](started, **request)
        raise ValueError(f"nobody knows what {verb!r} is; README.md has the table")

    def _new(self, kind: str = "etcd", **how: Any) -> dict[str, Any]:
        if kind not in STARTS:
            raise ValueError(f"no server of the kind {kind!r}")
        self._started += 1
        name = f"{kind}{self._started}"
        started = self._running[name] = STARTS[kind](self._folder / name, **how)
        return {"name": name, **_where(started)}


def _where(started: Cluster | Consul) -> dict[str, Any]:
    return desk_etcd.where(started) if isinstance(started, Cluster) else desk_consul.where(started)


def _life(
    started: Cluster | Consul, verb: str, member: int | None = None, wait: bool = True
) -> dict[str, Any]:
    what: Any = started if member is None else started.members[member]
    if verb == "start" and member is not None:
        what.start(wait=wait)
    else:
        getattr(what, verb)()
    return {}


def _fault(
    started: Cluster | Consul, verb: str, member: int | None = None, rpc: bool = False, **how: Any
) -> dict[str, Any]:
    proxies = started.proxies
    if rpc:
        proxies = started.rpc_proxies if isinstance(started, Consul) else []
    if not proxies:
        raise ValueError(f'this one was not started with "{"rpc_" if rpc else ""}proxied": true')
    for proxy in proxies if member is None else [proxies[member]]:
        getattr(proxy, verb)(**how)
    return {}


def serve(requests: Iterable[str], answers: TextIO) -> None:
    desk = Desk()
    try:
        for line in requests:
            try:
                said = {"ok": True, **desk.answer(json.loads(line))}
            except Exception as error:
                said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
            print(json.dumps(said), file=answers, flush=True)
    finally:
        desk.close()


def main() -> None:
    try:
        serve(sys.stdin, sys.stdout)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
