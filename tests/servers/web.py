"""One HTTP request and its answer, by the standard library alone; and the two ways in which servers fail to please."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass


class Unreachable(Exception):
    """No answer: refused, reset, timed out, or not what such a server says."""


class Refused(Exception):
    """The server answered with an error; `code` is gRPC's from etcd, HTTP's from Consul."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(
    address: str,
    verb: str,
    path: str,
    body: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout: float = 5,
    source: str = "127.0.0.1",
) -> Answer:
    """On a connection of its own; `address` is host:port, and `tls` makes it https. The server sees it come from
    `source`.
    """
    if tls is None:
        connection = http.client.HTTPConnection(address, timeout=timeout, source_address=(source, 0))
    else:
        connection = http.client.HTTPSConnection(
            address, timeout=timeout, source_address=(source, 0), context=tls
        )
    try:
        connection.request(verb, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{address}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
