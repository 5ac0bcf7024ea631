"""Three etcd nodes, each behind a proxy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from servers import QUICK, Cluster, Options, Refused

from . import garbage
from .etcd_history import EtcdHistory
from .etcd_invariants import of_leases, of_store
from .ground import Differences, Ground, Group, Menu
from .invariants import of_crew, of_watchers
from .parts import PREFIX, REGISTERED, SERVICES, SLOTS
from .presence import MARGIN
from .shown import shown

if TYPE_CHECKING:
    from servers import Etcd, Proxy

    from .crew import Crew
    from .parts import Part
    from .schedule import Step

NODES = 3
MENU = Menu(
    groups=(
        Group(
            tuple(f"m{at}" for at in range(NODES)),
            {
                "blackhole": (1, 1, 2, 3, 3),
                "deafen": (1, 3),
                "mute": (1, 3),
                "refuse": (1, 2, 3),
                "latency": (1, 3),
                "reset": (1, 3),
                "bandwidth": (1, 3),
                "slice": (1, 3),
                "cut": (1, 3),
                "pause": (1, 1, 2),
                "kill": (1, 2, 3),
                "stop": (1,),
            },
        ),
    ),
    data=(
        *("compact", "compact", "revoke", "revoke", "delete", "delete"),
        *("spoil", "usurp", "litter", "guests"),
    ),
    targets={
        "compact": ("store",),
        "litter": SERVICES,
        "guests": SERVICES,
        # A provider whose key says nothing is one that nobody can call.
        "spoil": tuple(slot.name for slot in SLOTS),
        # Those whose default id would be held by another tool step aside, to an id that nobody foresees.
        "usurp": tuple(slot.name for slot in SLOTS if slot.chosen),
    },
)
KEYS = {slot.name: slot.key for slot in REGISTERED}


class EtcdGround(Ground):
    menu = MENU
    # The slowest way back is a dead connection (9 s until the watchdog knows) and a pause of 5 s: well below 15 s. Five
    # times that is for a machine that has other things to do.
    deadline = 75.0
    late = MARGIN

    def __init__(self) -> None:
        self._cluster = Cluster(NODES, proxied=True, options=Options(flags=QUICK))
        self.history: EtcdHistory = EtcdHistory(self._cluster.members)

    def close(self) -> None:
        self._cluster.close()

    def url(self, part: Part) -> str:
        return self._cluster.url

    @property
    def endpoints(self) -> list[str]:
        return self._cluster.endpoints

    def proxy(self, member: str) -> Proxy:
        return self._cluster.proxies[int(member[1:])]

    def member(self, member: str) -> Etcd:
        return self._cluster.members[int(member[1:])]

    def tell(self, whom: list[str]) -> str:
        return "no quorum" if len(whom) > 1 else ""

    def wait_healthy(self) -> None:
        self._cluster.wait_healthy()

    def differences(self, crew: Crew) -> Differences:
        store = self._cluster.store
        stored = store.prefix(PREFIX)
        leases = {lease: store.lease(lease) for lease in store.leases()}
        read = [
            instance for key, entry in stored.items() if (instance := shown(key, entry.value)) is not None
        ]
        return Differences(
            [*of_store(stored, crew.ledger), *of_leases(leases, stored, crew.ledger)],
            of_watchers(crew.tracks, read),
            of_crew(crew),
        )

    def left(self) -> list[str]:
        store = self._cluster.store
        left = [f"{key} is still in the store" for key in store.prefix(PREFIX)]
        return left + [f"lease {lease:x} is left" for lease in store.leases()]

    # --- The data -----------------------------------------------------------------------------------------------

    def data(self, step: Step) -> tuple[Callable[[], object], Callable[[], object]]:
        (whom,) = step.whom
        store = self._cluster.store
        written: dict[str, int] = {}

        def write(pairs: dict[str, bytes]) -> None:
            revision = store.transaction(pairs)
            written.update(dict.fromkeys(pairs, revision))

        def remove() -> None:
            # All at once, but what somebody has written over since.
            now = store.prefix("")
            there = [
                key for key, revision in written.items() if key in now and now[key].mod_revision == revision
            ]
            if there:
                store.transaction({}, there)

        def work() -> None:
            match step.kind:
                case "compact":
                    self._compact()
                case "revoke":
                    self._revoke(KEYS[whom])
                case "delete":
                    store.delete(KEYS[whom])
                case "spoil":
                    write({KEYS[whom]: garbage.value(step.strength)})
                case "usurp":
                    write({KEYS[whom]: garbage.guest("usurper")})
                case "litter":
                    write(garbage.litter(whom, step.strength))
                case "guests":
                    write(garbage.guests(whom))

        return work, remove

    def _compact(self) -> None:
        """As far as the history has seen, which is to have no hole."""
        try:
            self._cluster.store.compact(self.history.revision)
        except Refused:
            pass  # that was compacted before

    def _revoke(self, key: str) -> None:
        entry = self._cluster.store.get(key)
        if entry is None or not entry.lease:
            return
        try:
            self._cluster.store.revoke(entry.lease)
        except Refused:
            pass  # it ran out just now
