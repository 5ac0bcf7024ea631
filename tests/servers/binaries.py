"""Where the servers' binaries are; builds nothing."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Literal

Version = Literal["new", "old"]


def etcd(version: Version = "new") -> Path:
    return _binary("etcd" if version == "new" else "old/etcd")


def etcdctl() -> Path:
    return _binary("etcdctl")


def consul(version: Version = "new") -> Path:
    return _binary("consul" if version == "new" else "old/consul")


def toxiproxy() -> Path:
    return _binary("toxiproxy-server")


def _binary(name: str) -> Path:
    binary = _folder() / name
    if not binary.exists():
        raise FileNotFoundError(f"{binary} is not there: `make servers` builds it")
    return binary


@functools.cache
def _folder() -> Path:
    command = [str(Path(__file__).parent / "build.sh"), "--path"]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
