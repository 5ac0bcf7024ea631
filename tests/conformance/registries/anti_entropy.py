"""What Consul's agents do once a minute, done each second: a status that changed while the one before was on its way to
the servers is taken for told, and stays wrong in the catalog until then.
"""

from __future__ import annotations

from threading import Event, Lock, Thread
from typing import Any

from servers import Consul, Refused, Unreachable

#: A difference that is there at two looks is no longer on its way.
BETWEEN_LOOKS = 1.0
TOLD = ("CheckID", "Name", "Status", "Notes", "Output", "ServiceID")


class AntiEntropy:
    """A thread that looks after the agents it is told of."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: dict[Consul, set[tuple[str, str]]] = {}
        self._ended = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def begin(self, consul: Consul) -> None:
        with self._lock:
            self._seen[consul] = set()

    def end(self, consul: Consul) -> None:
        with self._lock:
            self._seen.pop(consul, None)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(BETWEEN_LOOKS):
            with self._lock:
                seen = dict(self._seen)
            for consul, before in seen.items():
                try:
                    now = _look(consul, before)
                except (Unreachable, Refused):
                    continue  # It is down, or not yet up.
                with self._lock:
                    if consul in self._seen:
                        self._seen[consul] = now


def _look(consul: Consul, before: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The checks whose status the servers do not know, after telling them what they did not know before either."""
    agent = consul.agent
    if not agent.serving:
        return set()
    # Asked directly: a catalog waits for one that is down.
    api = agent.api()
    told = {check["CheckID"]: check["Status"] for check in api.call("GET", f"health/node/{agent.name}")}
    differ = set()
    for id, check in agent.local.checks().items():
        status = check["Status"]
        if told.get(id, status) == status:
            continue
        differ.add((id, status))
        if (id, status) in before:
            shown: dict[str, Any] = {name: check[name] for name in TOLD}
            node = {"Node": agent.name, "Address": agent.address, "SkipNodeUpdate": True}
            api.call("PUT", "catalog/register", {**node, "Check": shown})
    return differ
