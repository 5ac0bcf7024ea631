"""Which cases there are: languages, registries and scenarios."""

from __future__ import annotations

import os
import sys

import pytest
from languages import CONFORMANCE, LANGUAGES, UNDER_RIGHTS
from scenario import scenarios

sys.path.insert(0, str(CONFORMANCE))

import registries


def registries_of(language):
    """On which a language runs."""
    if chosen := os.environ.get("CALLSHEET_CONFORMANCE_REGISTRIES"):
        return chosen.split()
    return registries.NAMES + (registries.UNDER_RIGHTS if language in UNDER_RIGHTS else ())


def pytest_addoption(parser):
    parser.addoption(
        "--language",
        action="append",
        choices=list(LANGUAGES),
        help="the language to run; may be repeated (default: each one that has a driver)",
    )


def pytest_generate_tests(metafunc):
    if "case" not in metafunc.fixturenames:
        return
    names = metafunc.config.getoption("language")
    names = names or [name for name, language in LANGUAGES.items() if language.present]
    cases = [
        pytest.param((name, registry, area, scenario), id=f"{name}-{registry}-{area}: {scenario['name']}")
        for name in names
        for registry in registries_of(name)
        for area, scenario in scenarios()
    ]
    metafunc.parametrize("case", cases)
