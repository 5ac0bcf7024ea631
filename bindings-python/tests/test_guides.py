"""Every Python snippet of the README and the guides runs as it is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What these say runs on a real etcd and a real Consul, in tests/etcd and tests/consul.
ELSEWHERE = ("consul.md", "etcd.md")
DOCS = [guide for guide in sorted((ROOT / "docs").glob("*.md")) if guide.name not in ELSEWHERE]
GUIDES = [ROOT / "README.md", ROOT / "bindings-python" / "README.md", *DOCS]
WITH_SNIPPETS = [guide for guide in GUIDES if "```python" in guide.read_text(encoding="utf-8")]

#: What snippets take as given: a program of one's own, an HTTP client, and somebody to find.
PRELUDE = """
import types
import callsheet as _callsheet

start_serving = stop_serving = wait_for_sigterm = lambda *_: None
requests = types.SimpleNamespace(get=lambda url: url)
_given = _callsheet.connect()
_given.register("billing", port=80, address="10.0.0.9", id="given", tags=["v2"])
"""


@pytest.mark.parametrize("guide", WITH_SNIPPETS, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_snippets_run(guide: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    program = tmp_path / "snippets.py"
    program.write_text(PRELUDE + "\n".join(blocks), encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, str(program)],
        env={"CALLSHEET_URL": f"local://{tmp_path}/registry.db", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_there_are_snippets() -> None:
    assert len(WITH_SNIPPETS) >= 4
