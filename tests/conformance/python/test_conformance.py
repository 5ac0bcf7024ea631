"""One test per scenario and registry, and a line of ``target/conformance/python.jsonl`` for each."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import socket
import tempfile
import threading
import time

import pytest
from world import World

LANGUAGE = "python"
FOLDER = pathlib.Path(__file__).resolve().parent.parent
RESULTS = FOLDER.parent.parent / "target" / "conformance" / f"{LANGUAGE}.jsonl"
SKIPS = json.loads((FOLDER / "skips.json").read_text(encoding="utf-8"))
TEMPORARY = tempfile.mkdtemp(prefix="callsheet-conformance-")
TEMPLATES = os.environ.get("CALLSHEET_CONFORMANCE_URLS", f"memory:{{}} local://{TEMPORARY}/{{}}.db").split()
TURNS = {template: threading.Lock() for template in TEMPLATES}
PORTS = itertools.count(os.getpid() * 97 % 12_000)
NUMBERS = itertools.count()


def cases():
    for template in TEMPLATES:
        for path in sorted((FOLDER / "scenarios").glob("*.json")):
            for scenario in json.loads(path.read_text(encoding="utf-8")):
                case = (template, path.stem, scenario)
                yield pytest.param(case, id=f"{template.split(':')[0]}-{path.stem}: {scenario['name']}")


def skipped(registry, scenario):
    """Why this scenario is not run on `registry`."""
    for skip in SKIPS:
        needs = set(scenario.get("needs", ()))
        if (
            LANGUAGE in skip.get("languages", [LANGUAGE])
            and registry in skip.get("registries", [registry])
            and scenario["name"] in skip.get("scenarios", [scenario["name"]])
            and ("needs" not in skip or needs & set(skip["needs"]))
        ):
            return skip["reason"]
    return None


def free_port():
    """A port that nothing listens on, outside the range from which the system takes ports by itself.

    While the UDP port of the same number is held, no other runner takes it.
    """
    while True:
        port = 20_000 + next(PORTS) % 12_000
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
            return held
        except OSError:
            held.close()


def run(case):
    """What is wrong with a case; None when nothing is."""
    template, area, scenario = case
    url = template.replace("{}", f"p{os.getpid()}-{next(NUMBERS)}")
    held = free_port()
    port = str(held.getsockname()[1])
    text = json.dumps(scenario["steps"]).replace("{url}", url)
    text = text.replace('"{port}"', port).replace("{port}", port)
    steps = json.loads(re.sub(r"\{(\d+)\}", lambda count: "x" * int(count[1]), text))
    place = f"{area}.json, {scenario['name']!r}"
    with TURNS[template] if url == template else contextlib.nullcontext():
        world = World(url)
        try:
            for number, step in enumerate(steps, 1):
                try:
                    world.step(step)
                except Exception as error:
                    why = f"{place}, step {number}: {type(error).__name__}: {error}"
                    return f"{why}\n  step: {json.dumps(step)}"
            return None
        finally:
            world.end()
            held.close()


def report(case, result, reason, seconds):
    template, area, scenario = case
    line = {
        "language": LANGUAGE,
        "registry": template.split(":")[0],
        "area": area,
        "scenario": scenario["name"],
        "result": result,
        "reason": reason,
        "seconds": seconds,
    }
    with RESULTS.open("a", encoding="utf-8") as results:
        print(json.dumps(line), file=results)


def judged(case):
    start = time.monotonic()
    if reason := skipped(case[0].split(":")[0], case[2]):
        return "skipped", reason, 0
    why = run(case)
    return ("failed" if why else "passed"), why or "", time.monotonic() - start


@pytest.fixture(scope="session")
def outcomes(request):
    """Every selected case, sixteen at once: they wait far more than they compute."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    selected = [item for item in request.session.items if hasattr(item, "callspec")]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        yield {item.name: pool.submit(judged, item.callspec.params["case"]) for item in selected}
    shutil.rmtree(TEMPORARY, ignore_errors=True)


@pytest.mark.parametrize("case", list(cases()))
def test_scenario(case, outcomes, request):
    result, reason, seconds = outcomes[request.node.name].result()
    report(case, result, reason, seconds)
    if result == "skipped":
        pytest.skip(reason)
    assert result == "passed", reason
