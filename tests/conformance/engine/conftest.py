"""Which cases there are: languages, registries and scenarios."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from languages import LANGUAGES
from scenario import scenarios

TEMPORARY = tempfile.mkdtemp(prefix="callsheet-conformance-")
TEMPLATES = os.environ.get("CALLSHEET_CONFORMANCE_URLS", f"memory:{{}} local://{TEMPORARY}/{{}}.db").split()


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
        pytest.param(
            (name, template, area, scenario), id=f"{name}-{template.split(':')[0]}-{area}: {scenario['name']}"
        )
        for name in names
        for template in TEMPLATES
        for area, scenario in scenarios()
    ]
    metafunc.parametrize("case", cases)


def pytest_unconfigure():
    shutil.rmtree(TEMPORARY, ignore_errors=True)
