"""How each fault is done, and undone. Each has a thread of its lane, so that one that takes long holds up no other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from servers import Agent, Etcd

from .schedule import ABSENCES, PROVIDERS

if TYPE_CHECKING:
    from servers import Proxy

    from .crew import Crew
    from .ground import Ground
    from .schedule import Step

Member = Etcd | Agent
NETWORK = ("blackhole", "deafen", "mute", "refuse", "latency", "reset", "bandwidth", "slice", "cut")


class Faults:
    def __init__(self, ground: Ground, crew: Crew) -> None:
        self._ground = ground
        self._crew = crew
        self._lanes = {name: ThreadPoolExecutor(1) for name in (*ground.menu.members, *PROVIDERS, "data")}
        self._under_way: list[Future[object]] = []
        self._undo: dict[Step, Callable[[], None]] = {}

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.shutdown(cancel_futures=True)

    def begin(self, step: Step) -> str:
        """Does it, or has its lane do it; what to tell of it."""
        if step.kind in NETWORK:
            return self._on_proxies(step)
        if step.kind in VERBS:
            return self._on_members(step)
        if step.kind in ("die", "freeze"):
            return self._on_client(step)
        if step.kind in ABSENCES:
            return self._on_provider(step)
        return self._on_data(step)

    def end(self, step: Step) -> None:
        self._undo.pop(step)()

    def finish(self) -> None:
        """Everything that was begun is done; raises what failed."""
        for done in self._under_way:
            done.result()
        self._under_way.clear()

    def _do(self, lane: str, work: Callable[[], object]) -> None:
        self._under_way = [future for future in self._under_way if not future.done() or future.exception()]
        self._under_way.append(self._lanes[lane].submit(work))

    # --- The network --------------------------------------------------------------------------------------------

    def _on_proxies(self, step: Step) -> str:
        text, hurt = self._network(step)
        proxies = {name: self._ground.proxy(name) for name in step.whom}
        for name, proxy in proxies.items():
            self._do(name, partial(hurt, proxy))

        def undo() -> None:
            for name, proxy in proxies.items():
                self._do(name, proxy.heal)

        self._undo[step] = undo
        return text

    def _network(self, step: Step) -> tuple[str, Callable[[Proxy], None]]:
        strength = step.strength
        match step.kind:
            case "blackhole":
                return "", lambda proxy: proxy.blackhole()
            case "deafen":
                return "", lambda proxy: proxy.blackhole(streams=["upstream"])
            case "mute":
                return "", lambda proxy: proxy.blackhole(streams=["downstream"])
            case "refuse":
                return "", lambda proxy: proxy.disable()
            case "latency":
                seconds = 0.01 + strength * 1.2
                return f"{seconds:.2f} s", lambda proxy: proxy.latency(seconds, jitter=seconds / 3)
            case "reset":
                after = strength * 0.5
                return f"after {after:.2f} s", lambda proxy: proxy.reset(after)
            case "bandwidth":
                rate = 1 + int(strength * 20)
                return f"{rate} kB/s", lambda proxy: proxy.bandwidth(rate)
            case "slice":
                size = 4 + int(strength * 60)
                return f"{size} bytes", lambda proxy: proxy.slice(size, delay=0.002)
            case "cut":
                return "", lambda proxy: proxy.cut()
        raise ValueError(step.kind)

    # --- The members --------------------------------------------------------------------------------------------

    def _on_members(self, step: Step) -> str:
        members = {name: self._ground.member(name) for name in step.whom}
        hurt, heal = VERBS[step.kind]
        for name, member in members.items():
            self._do(name, partial(hurt, member))

        def undo() -> None:
            for name, member in members.items():
                self._do(name, partial(heal, member))

        self._undo[step] = undo
        return self._ground.tell(list(step.whom))

    # --- The processes of the clients ---------------------------------------------------------------------------

    def _on_client(self, step: Step) -> str:
        (name,) = step.whom
        if step.kind == "die":
            self._crew.die(name)
            self._undo[step] = lambda: None
        else:
            self._crew.processes[name].freeze()
            self._undo[step] = self._crew.processes[name].thaw
        return ""

    def _on_provider(self, step: Step) -> str:
        (name,) = step.whom
        self._do(name, partial(self._crew.crash if step.kind == "crash" else self._crew.leave, name))
        self._undo[step] = lambda: self._do(name, partial(self._crew.come_back, name))
        return ""

    # --- The data -----------------------------------------------------------------------------------------------

    def _on_data(self, step: Step) -> str:
        work, undo = self._ground.data(step)
        self._do("data", work)
        self._undo[step] = lambda: self._do("data", undo)
        return ""


def _start(member: Member) -> None:
    member.start(wait=False)


def _wipe(member: Member) -> None:
    member.kill()
    member.forget()


VERBS: dict[str, tuple[Callable[[Member], object], Callable[[Member], object]]] = {
    "pause": (lambda member: member.pause(), lambda member: member.resume()),
    "kill": (lambda member: member.kill(), _start),
    "stop": (lambda member: member.stop(), _start),
    "wipe": (_wipe, _start),
}
