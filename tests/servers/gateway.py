"""etcd's JSON gateway on one member: one call, one answer. Needs no client library and no process per call."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

UNAVAILABLE, UNAUTHENTICATED = 14, 16
# What a request fails with that was sent on to a leader which is gone; 3.4 gives it no code of its own.
LATE = "context deadline exceeded"


class Unreachable(Exception):
    """No answer: refused, reset, timed out, or not what a gateway says."""


class Refused(Exception):
    """etcd answered with an error; `code` is gRPC's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


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
        status, answer = self._post(f"/v3/{path}", json.dumps(body), headers, timeout)
        try:
            said = json.loads(answer)
        except ValueError as error:
            raise Unreachable(f"{self.address} said {status} {answer[:200]!r}") from error
        if status != 200:
            raise Refused(int(said.get("code", 0)), str(said.get("message", said.get("error", said))))
        return dict(said)

    def _post(self, path: str, body: str, headers: dict[str, str], timeout: float) -> tuple[int, bytes]:
        if self._tls is None:
            connection = http.client.HTTPConnection(self.address, timeout=timeout)
        else:
            connection = http.client.HTTPSConnection(self.address, timeout=timeout, context=self._tls)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.address}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
