"""What `callsheet doctor` says of a registry."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    level: str
    value: str
    remedy: str | None


class Report:
    """What it says of a registry, as JSON."""

    def __init__(self, url: str) -> None:
        began = time.monotonic()
        command = [sys.executable, "-m", "callsheet", "doctor", "--json", "--registry", url]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.took = time.monotonic() - began
        assert ran.stderr == "", ran.stderr
        self.text = ran.stdout
        report = json.loads(ran.stdout)
        self.exit, self.verdict = ran.returncode, report["verdict"]
        assert report["exit"] == ran.returncode
        self.findings = {
            f"{found['topic']}/{found['name']}": Finding(found["level"], found["value"], found["remedy"])
            for found in report["findings"]
        }

    def __getitem__(self, name: str) -> Finding:
        return self.findings[name]

    def of(self, level: Literal["note", "wrong"]) -> set[str]:
        found = {name for name, finding in self.findings.items() if finding.level == level}
        assert all(self[name].remedy for name in found), "no trouble without what to do"
        return found

    @classmethod
    def when(cls, url: str, *, wrong: set[str], note: set[str]) -> Report:
        """Once these are what there is to complain about: members may hold an election meanwhile."""
        end = time.monotonic() + 30
        while True:
            report = cls(url)
            if (report.of("wrong"), report.of("note")) == (wrong, note):
                return report
            assert time.monotonic() < end, report.text
