"""What everything was measured on, and with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from servers import binaries


def first_line(*command: str) -> str:
    """Of what a command says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return said.strip().splitlines()[0]


def processor() -> str:
    """Its model and how many cores there are."""
    cpus = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpus.read_text()) if cpus.exists() else None
    cores = os.cpu_count() or 1
    return f"{found[1] if found else platform.machine()}, {cores} core{'s' * (cores != 1)}"


def system() -> str:
    """Its kernel, without what a distribution adds."""
    number = re.match(r"\d+\.\d+", platform.release())
    return f"{platform.system()} {number[0] if number else platform.release()} on {platform.machine()}"


def languages() -> list[str]:
    """With their versions."""
    return [
        f"Rust {first_line('rustc', '--version').split()[1]}",
        first_line("cc", "--version"),
        f"Go {first_line('go', 'env', 'GOVERSION').removeprefix('go')}",
        f"Python {platform.python_version()}",
        f"Node.js {first_line('node', '--version').removeprefix('v')}",
    ]


def servers() -> list[str]:
    """With their versions."""
    etcd = first_line(str(binaries.etcd()), "--version").rpartition(" ")[2]
    consul = first_line(str(binaries.consul()), "version").rpartition(" ")[2].removeprefix("v")
    return [f"etcd {etcd}", f"Consul {consul}"]


def described(*, with_servers: bool) -> str:
    """All of that, in one line."""
    return ", ".join([processor(), system(), *languages(), *(servers() if with_servers else [])])
