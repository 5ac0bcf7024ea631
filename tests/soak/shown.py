"""What a reader should see of what is stored: written anew here, so that it does not share the core's mistakes."""

from __future__ import annotations

import json

from .parts import PREFIX

#: An instance in a word: `id n status`, where `n` counts the updates of a registration.
Shown = str


def shown(key: str, value: bytes) -> tuple[str, Shown] | None:
    """The service, and the instance; None of what is none."""
    service, _, known_as = key.removeprefix(PREFIX).partition("/")
    if not known_as or "/" in known_as:
        return None
    try:
        said = json.loads(value)
    except ValueError:
        return None
    if not isinstance(said, dict) or not said.get("address") or not said.get("port"):
        return None
    return service, word(known_as, said.get("metadata", {}).get("n", ""), said.get("status", "passing"))


def word(id: str, n: object, status: str) -> Shown:
    return f"{id} {n} {status}"


def is_healthy(instance: Shown) -> bool:
    return instance.endswith(" passing")
