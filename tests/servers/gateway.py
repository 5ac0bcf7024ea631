"""etcd's JSON gateway on one member: one call, one answer. Needs no client library and no process per call."""

from __future__ import annotations

import json
import ssl
from typing import Any

from . import web
from .web import Refused, Unreachable

UNAVAILABLE, UNAUTHENTICATED = 14, 16
# What a request fails with that was sent on to a leader which is gone; 3.4 gives it no code of its own.
LATE = "context deadline exceeded"


class Gateway:
    """`address` is host:port; with `tls` it is asked by https."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._tls = tls

    def call(
        self, path: str, body: dict[str, Any], token: str | None = None, timeout: float = 5
    ) -> dict[str, Any]:
        """`path` is what follows /v3/, such as `kv/put`."""
        headers = {"Authorization": token} if token else {}
        answer = web.ask(
            self.address,
            "POST",
            f"/v3/{path}",
            json.dumps(body),
            headers=headers,
            tls=self._tls,
            timeout=timeout,
        )
        try:
            said = json.loads(answer.body)
        except ValueError as error:
            raise Unreachable(f"{self.address} said {answer.status} {answer.body[:200]!r}") from error
        if answer.status != 200:
            raise Refused(int(said.get("code", 0)), str(said.get("message", said.get("error", said))))
        return dict(said)
