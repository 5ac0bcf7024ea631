"""One run: start everything, do what the schedule says, heal, and judge."""

from __future__ import annotations

import heapq
import itertools
import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .consul_ground import ConsulGround
from .crew import Crew
from .etcd_ground import EtcdGround
from .faults import Faults
from .ledger import Ledger
from .parts import SLOTS
from .report import ACTIONS, Report
from .schedule import ABSENCES, PROVIDERS, Step, schedule

if TYPE_CHECKING:
    from .ground import Ground

LOGS = Path(__file__).parents[2] / "target" / "soak" / "logs"
GROUNDS: dict[str, Callable[[], Ground]] = {"etcd": EtcdGround, "consul": ConsulGround}
LOOK = 0.05
STAYS = 0.5


def run(registry: str, seed: int, seconds: float, figures: Path) -> int:
    """Exit status; what it comes to is written to `figures`."""
    report = Report(registry, seed, seconds)
    folder = LOGS / f"{registry}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with closing(GROUNDS[registry]()) as ground:
        ground.history.start()
        crew: Crew | None = None
        try:
            crew = Crew(ground, Ledger(), folder)
            problems = Run(ground, crew, report).go(schedule(seed, seconds, ground.menu))
            report.summary(crew, ground.history.length)
        except Exception:
            # The seed and what happened are to be told here too.
            problems = [f"the run itself failed: {traceback.format_exc()}"]
        finally:
            if crew is not None:
                crew.kill()
            ground.history.close()
    report.figures.problems = len(problems)
    report.figures.save(figures)
    if problems:
        report.failure(problems, folder)
        return 1
    shutil.rmtree(folder)
    print("1 passed: nothing was lost, and nothing is left", flush=True)
    return 0


class Run:
    def __init__(self, ground: Ground, crew: Crew, report: Report) -> None:
        self._ground = ground
        self._crew = crew
        self._report = report
        self._faults = Faults(ground, crew)
        self._active = 0
        #: Since when no fault is active, until all is well again; and since when all is well.
        self._healing: float | None = None
        self._well: float | None = None

    def go(self, steps: list[Step]) -> list[str]:
        """What is wrong."""
        try:
            if problems := self._open():
                return problems
            self._crew.call()
            self._measure()
            self._storm(steps)
            problems = self._settle()
            return problems + self._leave(problems)
        finally:
            self._faults.close()

    def _open(self) -> list[str]:
        for slot in SLOTS:
            self._crew.act("open", slot.name)
        for name in PROVIDERS:
            self._crew.open_provider(name)
        return self._until_nothing("before any fault", lambda: self._ground.differences(self._crew).all)

    def _storm(self, steps: list[Step]) -> None:
        numbers = itertools.count()
        due: list[tuple[float, int, Callable[[], None]]] = []

        def at(when: float, work: Callable[[], None]) -> None:
            heapq.heappush(due, (when, next(numbers), work))

        for step in steps:
            at(step.at, partial(self._begin, step))
            if step.kind not in ACTIONS:
                at(step.at + step.lasts, partial(self._end, step))
        self._report.start()
        began = time.monotonic()
        while due:
            when, _, work = heapq.heappop(due)
            while (left := began + when - time.monotonic()) > 0:
                self._look()
                time.sleep(min(left, LOOK))
            work()

    def _begin(self, step: Step) -> None:
        if step.kind in ACTIONS:
            self._crew.act(step.kind, step.whom[0])
            self._report.step(step, "")
            return
        if step.kind in ABSENCES:
            # Which is nothing that would have to heal.
            self._report.step(step, self._faults.begin(step))
            return
        self._active += 1
        self._healing = None
        self._crew.presence.hurt(time.time())
        self._report.step(step, self._faults.begin(step))

    def _end(self, step: Step) -> None:
        self._faults.end(step)
        if step.kind in ABSENCES:
            return
        if step.kind == "wipe":
            self._crew.presence.forgot(step.whom, time.time())
        self._active -= 1
        if not self._active:
            self._healing = time.monotonic()

    def _look(self) -> None:
        """Whether all is well again. A fault may be noticed after its end, so that it has to stay well for a while."""
        now = time.monotonic()
        if self._active or not self._crew.well:
            self._well = None
            return
        self._well = self._well or now
        if now < self._well + STAYS:
            return
        if self._healing is not None:
            self._report.heal(max(self._well - self._healing, 0))
            self._healing = None
            self._crew.presence.healed(time.time())
        self._measure()

    def _measure(self) -> None:
        """What a process holds when all is well for the first time in its life."""
        for process in self._crew.lasting:
            process.first = process.first or process.usage

    # --- The end ------------------------------------------------------------------------------------------------

    def _settle(self) -> list[str]:
        self._report.say("  everything heals")
        self._faults.finish()
        self._ground.wait_healthy()
        problems = self._until_nothing("after the last fault", self._differences)
        self._measure()
        for process in self._crew.lasting:
            if process.part.slots:
                process.tell("stats")
        problems += self._until_nothing("after it was well", self._growth)
        for process in self._crew.lasting:
            process.last = process.usage
        return [*problems, *(wrong for process in self._crew for wrong in process.judge())]

    def _differences(self) -> list[str]:
        self._look()
        healing = ["it has not been well for long enough"] if self._healing is not None else []
        differences = self._ground.differences(self._crew)
        self._report.differ(differences)
        return healing + differences.all

    def _growth(self) -> list[str]:
        grown = (
            (process, process.usage.growth(process.first)) for process in self._crew.lasting if process.first
        )
        return [f"{process.part.name} grew: {growth}" for process, growth in grown if growth]

    def _leave(self, earlier: list[str]) -> list[str]:
        """All withdraw and end; then it is known what became of every call."""
        problems = self._crew.end()
        unexcused = self._crew.judge_calls()
        self._report.figures.unexcused = len(unexcused)
        problems += unexcused
        if earlier:
            return problems
        return problems + self._until_nothing("after all left", self._ground.left)

    def _until_nothing(self, when: str, wrong: Callable[[], list[str]]) -> list[str]:
        """What is still wrong at the deadline."""
        until = time.monotonic() + self._ground.deadline
        while problems := wrong():
            if time.monotonic() > until:
                return [f"{self._ground.deadline:g} s {when}: {problem}" for problem in problems]
            time.sleep(LOOK)
        return []
