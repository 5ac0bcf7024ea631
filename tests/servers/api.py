"""Consul's HTTP interface on one agent: one call, one answer."""

from __future__ import annotations

import json
import ssl
import sys
from typing import Any
from urllib.parse import quote, urlencode

from . import web
from .web import Refused

# Not the address that programs under test come from: an agent counts the connections of each (429 above the limit).
SOURCE = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
# What an agent says that may serve a moment later.
LATER = (
    "No cluster leader",
    "No known Consul servers",
    "Raft leader not found",
    "leadership lost",
    "node is not the leader",
    "rpc error getting client",
    "failed to get conn",
    "rpc error making call: write tcp",  # to a server that has just been killed
    "legacy mode",  # 1.8, before all servers have told each other that they know of ACLs
)


class Api:
    """`address` is host:port; with `tls` it is asked by https, with `token` as whose it is."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None, token: str | None = None) -> None:
        self.address = address
        self.token = token
        self._tls = tls

    def call(self, verb: str, path: str, body: Any = None, *, timeout: float = 5, **query: Any) -> Any:
        """What the JSON of the answer holds; its text when it is none. See `answer`."""
        said = self.answer(verb, path, body, timeout=timeout, **query)
        text = said.body.decode(errors="replace")
        if said.status != 200:
            raise Refused(said.status, text.strip())
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text

    def answer(
        self, verb: str, path: str, body: Any = None, *, timeout: float = 5, **query: Any
    ) -> web.Answer:
        """Whatever its status. `path` is what follows /v1/, such as `agent/self`. What is True in the query stands
        there without a value, what is False or None doesn't.
        """
        given = {name: "" if value is True else value for name, value in query.items() if value}
        return web.ask(
            self.address,
            verb,
            f"/v1/{quote(path)}{'?' if given else ''}{urlencode(given)}",
            None if body is None else json.dumps(body),
            headers={"X-Consul-Token": self.token} if self.token else {},
            tls=self._tls,
            timeout=timeout,
            source=SOURCE,
        )


def may_serve_later(refused: Refused) -> bool:
    return refused.code == 429 or any(words in refused.message for words in LATER)
