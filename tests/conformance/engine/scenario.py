"""The scenarios as they stand in their files, who skips which, and one made ready to run."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from languages import CONFORMANCE

SKIPS = json.loads((CONFORMANCE / "skips.json").read_text(encoding="utf-8"))
PORTS = itertools.count(os.getpid() * 97 % 4000)


def scenarios() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every scenario with the area it is of."""
    for path in sorted((CONFORMANCE / "scenarios").glob("*.json")):
        for scenario in json.loads(path.read_text(encoding="utf-8")):
            yield path.stem, scenario


def skipped(language: str, registry: str, scenario: dict[str, Any]) -> str | None:
    """Why this scenario is not run."""
    needs = set(scenario.get("needs", ()))
    for skip in SKIPS:
        if (
            language in skip.get("languages", [language])
            and registry in skip.get("registries", [registry])
            and scenario["name"] in skip.get("scenarios", [scenario["name"]])
            and ("needs" not in skip or needs & set(skip["needs"]))
        ):
            return skip["reason"]
    return None


def steps(
    scenario: dict[str, Any], url: str, port: int, folder: str, login: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Its steps, filled in: clients of the registry at `url` have the options `login`, unless they have their own."""
    text = json.dumps(scenario["steps"]).replace("{url}", url).replace("{folder}", folder)
    text = text.replace('"{port}"', str(port)).replace("{port}", str(port))
    filled = json.loads(re.sub(r"\{(\d+)\}", lambda count: "x" * int(count[1]), text))
    for step in filled:
        if login and step["do"] == "connect" and (step.get("url") or url).startswith(url):
            step["options"] = {**login, **step.get("options", {})}
    return filled


def registered(scenario: dict[str, Any]) -> list[str]:
    """The services that it registers."""
    filled = steps(scenario, "", 0, "")
    return sorted(
        {step["with"]["service"] for step in filled if step["do"] == "register" and "error" not in step}
    )


def free_port() -> socket.socket:
    """A port that nothing listens on, outside the ranges from which the system and tests/servers take theirs.

    While the UDP port of the same number is held, no other runner takes it.
    """
    while True:
        port = 6000 + next(PORTS) % 4000
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            socket.create_server(("127.0.0.1", port)).close()
            return held
        except OSError:
            held.close()
