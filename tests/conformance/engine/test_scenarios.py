"""One test per language, registry and scenario, and a line of ``target/conformance/<language>.jsonl`` for each."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import threading
import time

import pytest
from conftest import TEMPLATES
from driver import Driver, Pool
from languages import LANGUAGES, TARGET
from scenario import free_port, scenarios, skipped, steps
from world import World

NUMBERS = itertools.count()
TURNS = collections.defaultdict(threading.Lock)


def run(case, pool):
    """What is wrong with a case; None when nothing is."""
    name, template, area, scenario = case
    url = template.replace("{}", f"{name}-{os.getpid()}-{next(NUMBERS)}")
    place = f"{area}.json, {scenario['name']!r}"
    with TURNS[template] if url == template else contextlib.nullcontext():
        try:
            driver = pool.take()
        except Exception as error:
            return f"{place}: {error}"
        held = free_port()
        world = World(url, driver, lambda env: Driver(LANGUAGES[name], env))
        why = place
        try:
            for number, step in enumerate(steps(scenario, url, held.getsockname()[1]), 1):
                why = f"{place}, step {number}: {json.dumps(step)[:2000]}"
                world.step(step)
            why = f"{place}, at its end"
            world.check()
            world.end()
        except Exception as error:
            driver.kill()
            world.end()
            return f"{why}\n  {type(error).__name__}: {error}"
        finally:
            held.close()
    pool.give(driver)
    return None


def judged(case, pool):
    start = time.monotonic()
    try:
        if reason := skipped(case[0], case[1].split(":")[0], case[3]):
            return "skipped", reason, 0
        why = run(case, pool)
        return ("failed" if why else "passed"), why or "", time.monotonic() - start
    finally:
        pool.done()


def report(case, result, reason, seconds):
    name, template, area, scenario = case
    line = {
        "language": name,
        "registry": template.split(":")[0],
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
    whole = len(TEMPLATES) * len(list(scenarios()))
    for name, count in counts.items():
        if count == whole:  # otherwise these are in place of what was found of them before
            (TARGET / f"{name}.jsonl").unlink(missing_ok=True)
    pools = {name: Pool(LANGUAGES[name], count) for name, count in counts.items()}
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        yield {name: executor.submit(judged, case, pools[case[0]]) for name, case in cases.items()}
    for pool in pools.values():
        assert pool.unended is None, pool.unended


def test_scenario(case, outcomes, request):
    result, reason, seconds = outcomes[request.node.name].result()
    report(case, result, reason, seconds)
    if result == "skipped":
        pytest.skip(reason)
    if result == "failed":
        pytest.fail(reason, pytrace=False)
