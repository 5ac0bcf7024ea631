"""Which cases there are: languages, registries and scenarios."""

from __future__ import annotations

import os
import sys

import pytest
from languages import CONFORMANCE, LANGUAGES
from scenario import scenarios

sys.path.insert(0, str(CONFORMANCE))

import registries

NAMES = os.environ.get("CALLSHEET_CONFORMANCE_REGISTRIES", " ".join(registries.NAMES)).split()


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
        for registry in NAMES
        for area, scenario in scenarios()
    ]
    metafunc.parametrize("case", cases)
