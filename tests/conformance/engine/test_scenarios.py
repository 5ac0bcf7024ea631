"""One test per language, registry and scenario, and a line of ``target/conformance/<language>.jsonl`` for each."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import json
import tempfile
import time

import pytest
from conftest import registries_of
from driver import Driver, Pool
from languages import LANGUAGES, TARGET
from registries import Registries
from scenario import free_port, registered, scenarios, skipped, steps
from world import World


def run(case, pool, registries):
    """What is wrong with a case; None when nothing is."""
    name, registry, area, scenario = case
    why = f"{area}.json, {scenario['name']!r}"
    with contextlib.ExitStack() as after:
        try:
            driver = pool.take()
            held = after.enter_context(free_port())
            folder = after.enter_context(tempfile.TemporaryDirectory())
            world = World(driver, lambda env: Driver(LANGUAGES[name], env))
            if registry != "memory":
                world.registry = registries.open(registry, scenario.get("needs", ()), registered(scenario))
                after.callback(world.registry.close)
        except Exception as error:
            return f"{why}: {type(error).__name__}: {error}"
        place = why
        try:
            filled = steps(scenario, world.url, held.getsockname()[1], folder, world.login)
            for number, step in enumerate(filled, 1):
                why = f"{place}, step {number}: {json.dumps(step)[:2000]}"
                world.step(step)
            why = f"{place}, at its end"
            world.check()
            world.end()
        except Exception as error:
            driver.kill()
            world.end()
            return f"{why}\n  {type(error).__name__}: {error}"
    pool.give(driver)
    return None


def judged(case, pool, registries):
    start = time.monotonic()
    try:
        if reason := skipped(case[0], case[1], case[3]):
            return "skipped", reason, 0
        why = run(case, pool, registries)
        return ("failed" if why else "passed"), why or "", time.monotonic() - start
    finally:
        pool.done()


def report(case, result, reason, seconds):
    name, registry, area, scenario = case
    line = {
        "language": name,
        "registry": registry,
        "area": area,
        "scenario": scenario["name"],
        "result": result,
        "reason": reason,
        "seconds": seconds,
    }
    with (TARGET / f"{name}.jsonl").open("a", encoding="utf-8") as results:
        print(json.dumps(line), file=results)


@pytest.fixture(scope="module")
def outcomes(request):
    """Every selected case, sixteen at once: they wait far more than they compute."""
    TARGET.mkdir(parents=True, exist_ok=True)
    items = [item for item in request.session.items if "case" in getattr(item, "fixturenames", ())]
    cases = {item.name: item.callspec.params["case"] for item in items}
    counts = collections.Counter(case[0] for case in cases.values())
    for name, count in counts.items():
        whole = len(registries_of(name)) * len(list(scenarios()))
        if count == whole:  # otherwise these are in place of what was found of them before
            (TARGET / f"{name}.jsonl").unlink(missing_ok=True)
    pools = {name: Pool(LANGUAGES[name], count) for name, count in counts.items()}
    registries = Registries()
    with contextlib.closing(registries), concurrent.futures.ThreadPoolExecutor(16) as executor:
        yield {
            name: executor.submit(judged, case, pools[case[0]], registries) for name, case in cases.items()
        }
    for pool in pools.values():
        assert pool.unended is None, pool.unended


def test_scenario(case, outcomes, request):
    result, reason, seconds = outcomes[request.node.name].result()
    report(case, result, reason, seconds)
    if result == "skipped":
        pytest.skip(reason)
    if result == "failed":
        pytest.fail(reason, pytrace=False)
