"""Tokens and passwords are in nothing that callsheet says or writes."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import callsheet

#: Found in whatever it gets into, also as a part of something else and percent-encoded.
SECRET = "hunter2"
CONNECTS = [
    ("etcd://root:hunter2@127.0.0.1:1/prefix", {}),
    ("etcd://127.0.0.1:1", {"username": "root", "password": "hunter2"}),
    ("etcd://127.0.0.1:1?username=root&password=hunter2", {}),
    ("consul://127.0.0.1:1", {"token": "hunter2"}),
    ("consul://127.0.0.1:1?token=hunter2", {}),
    ("consul://root:hunter2@127.0.0.1:1", {}),
    ("memory:?token=hunter2", {}),
    ("local:?token=hunter2", {"password": "hunter2"}),
    (
        "etcd://127.0.0.1:1",
        {"fallback": ["etcd://root:hunter2@127.0.0.1:1", "consul://127.0.0.1:1?token=hunter2"]},
    ),
]
WRONG = [
    "etcd://root:hunter2@",
    "etcd://root:hunter2@h:x",
    "etcd://root:hunter2@h/%ff",
    "consul://root:hunter2@h:0",
    "consul://h?token=hunter2&token=hunter2",
    "consul://h?token=hunter2&tokem=hunter2",
    "hunter2://h",
    "memory:?token=hunter2&ttl=soon",
    "etcd://h?fallback=etcd://root:hunter2@h:x",
]


@pytest.mark.parametrize(("url", "options"), CONNECTS)
def test_nothing_tells_a_secret(
    url: str, options: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if url.startswith("local:"):
        url = url.replace("local:", f"local://{tmp_path}/registry.db")
    said: list[object] = []

    def fails(call: object, *arguments: object) -> None:
        try:
            said.append(call(*arguments))  # type: ignore[operator]
        except callsheet.Error as error:
            said.append("".join(traceback.format_exception(error)))
            said.append(repr(error))

    with caplog.at_level(logging.DEBUG, "callsheet"):
        client = callsheet.connect(url, cache_dir=tmp_path / "cache", timeout=1, **options)  # type: ignore[arg-type]
        registration = client.register("billing", 80, "10.0.0.1")
        fails(client.lookup, "billing")
        fails(client.services)
        fails(client.ping)
        said += [client, client.stats(), registration, registration.last_error, registration.instance]
        fails(client.close)
    said.append(caplog.text)
    told = "\n".join(f"{one!r} {one}" for one in said)
    assert "billing" in told
    assert SECRET not in told
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if SECRET.encode() in path.read_bytes() or SECRET in path.name] == []


@pytest.mark.parametrize("url", WRONG)
def test_what_is_wrong_with_a_url_is_said_without_its_secrets(url: str) -> None:
    with pytest.raises(callsheet.Config) as raised:
        callsheet.connect(url)
    assert SECRET not in "".join(traceback.format_exception(raised.value)) or url.startswith(SECRET)


@pytest.mark.parametrize("url", [url for url, options in CONNECTS if not options])
@pytest.mark.parametrize("command", [["doctor"], ["list", "billing"], ["list"]])
def test_the_command_line_tells_none_either(url: str, command: list[str], tmp_path: Path) -> None:
    if url.startswith("local:"):
        url = url.replace("local:", f"local://{tmp_path}/registry.db")
    ran = subprocess.run(
        [sys.executable, "-m", "callsheet", *command],
        env={"CALLSHEET_URL": url, "CALLSHEET_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout + ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
