"""What other tools may leave under the prefix: values that are no instance, instances without an owner, odd keys."""

from __future__ import annotations

import json
from random import Random

from .parts import PREFIX

VALUES = (
    b"",
    b"null",
    b"{}",
    b"[1, 2]",
    b'{"colour": "red"}',
    b'{"address": "", "port": 80}',
    b'{"address": "10.9.9.9", "port": 0}',
    b"\xff\xfe not a text",
    b'{"address": "10.9.9.9", "port": 80',
    b"x" * 100_000,
)


def value(strength: float) -> bytes:
    """One that is no instance."""
    return Random(strength).choice(VALUES)


def guest(name: str) -> bytes:
    """An instance that another tool wrote."""
    return json.dumps({"address": "10.9.9.9", "port": 9000, "metadata": {"n": name}}).encode()


def litter(service: str, strength: float) -> dict[str, bytes]:
    """Keys and values of which nobody is to see anything."""
    random = Random(strength)
    chosen = random.sample(VALUES, 3)
    beside = {f"{PREFIX}{service}/litter-{at}": value for at, value in enumerate(chosen)}
    return {**beside, f"{PREFIX}{service}/nested/key": guest("nested"), f"{PREFIX}{service}": guest("bare")}


def guests(service: str) -> dict[str, bytes]:
    """Ten instances, which come and go at once."""
    return {f"{PREFIX}{service}/guest-{at}": guest(f"g{at}") for at in range(10)}
