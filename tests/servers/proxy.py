"""toxiproxy: TCP proxies before servers, which delay, swallow, cut and refuse on command."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from . import binaries, ports
from .process import Process

START_DEADLINE = 20.0
CALL_DEADLINE = 8.0
Stream = Literal["upstream", "downstream"]
BOTH: tuple[Stream, Stream] = ("upstream", "downstream")


class Proxy:
    """In front of one server; `endpoint` is host:port, a free one unless it is given. Made by `Toxiproxy`."""

    def __init__(self, process: Toxiproxy, name: str, upstream: str, endpoint: str | None = None) -> None:
        self.process = process
        self._name = name
        self._path = f"/proxies/{name}"
        self.upstream = upstream
        # While it is disabled its port is its own as well.
        self._held: socket.socket | None = None
        self.endpoint = endpoint or self._listen_somewhere()
        if endpoint is not None:
            self.listen()

    def listen(self) -> None:
        """Once its process is there; again, after that was started anew."""
        self._listen(self.endpoint)

    def disable(self) -> None:
        """Cut all connections and refuse new ones."""
        self.process.call("POST", self._path, {"enabled": False})

    def enable(self) -> None:
        self.process.call("POST", self._path, {"enabled": True})

    def cut(self) -> None:
        """Cut all connections now; new ones are welcome."""
        self.disable()
        self.enable()

    def lead_to(self, upstream: str) -> None:
        """Cut all connections; new ones meet another server at the same address."""
        self.process.call("POST", self._path, {"upstream": upstream})
        self.upstream = upstream

    def remove(self) -> None:
        """Cut all connections, and be no more."""
        self.process.call("DELETE", self._path)
        if self._held is not None:
            self._held.close()

    def renew(self) -> None:
        """As `heal`, but cuts all connections and is quick: of a connection that was given up while data was held back,
        toxiproxy takes seconds to undo what is done to it.
        """
        self.remove()
        self._listen(self.endpoint)

    def heal(self) -> None:
        """As if nothing had ever been done to it. Connections that were swallowed end."""
        with self.process.lock:
            try:
                for toxic in self.process.call("GET", self._path)["toxics"]:
                    self.process.call("DELETE", f"{self._path}/toxics/{toxic['name']}")
                self.enable()
            except TimeoutError:
                # It hangs when a connection ends just as a toxic is taken from it (Shopify/toxiproxy#558).
                self.process.restart()

    # --- What goes on until `heal`, for open and new connections ------------------------------------------------

    def latency(self, seconds: float, *, jitter: float = 0) -> None:
        """On what the server answers."""
        self._add("latency", ("downstream",), latency=int(seconds * 1000), jitter=int(jitter * 1000))

    def blackhole(self, *, streams: Sequence[Stream] = BOTH) -> None:
        """Connections open and stay open, and nothing arrives; in one direction only if asked."""
        self._add("timeout", streams, timeout=0)

    def reset(self, after: float = 0) -> None:
        """New connections end with a TCP reset at the first bytes of an answer, open ones end there without one."""
        self._add("reset_peer", ("downstream",), timeout=int(after * 1000))

    def bandwidth(self, kilobytes_per_second: int) -> None:
        self._add("bandwidth", ("downstream",), rate=kilobytes_per_second)

    def slice(self, size: int = 16, *, delay: float = 0) -> None:
        """Answers come in pieces of about so many bytes, `delay` seconds apart."""
        self._add(
            "slicer",
            ("downstream",),
            average_size=size,
            size_variation=size // 2,
            delay=int(delay * 1_000_000),
        )

    def _listen_somewhere(self, attempts: int = 5) -> str:
        port = ports.free(1)[0]
        endpoint = f"127.0.0.1:{port}"
        held = None
        try:
            held = ports.held(port)
            self._listen(endpoint)
        except (OSError, RuntimeError) as error:
            if held is not None:
                held.close()
            if (
                isinstance(error, RuntimeError) and "address already in use" not in str(error)
            ) or attempts == 1:
                raise
            return self._listen_somewhere(attempts - 1)
        self._held = held
        return endpoint

    def _listen(self, endpoint: str) -> None:
        proxy = {"name": self._name, "listen": endpoint, "upstream": self.upstream, "enabled": True}
        self.process.call("POST", "/proxies", proxy)

    def _add(self, kind: str, streams: Sequence[Stream], **attributes: int) -> None:
        for stream in streams:
            toxic = {"type": kind, "name": f"{kind}-{stream}", "stream": stream, "attributes": attributes}
            self.process.call("POST", f"{self._path}/toxics", toxic)


class Toxiproxy:
    """One process with a proxy for each of `upstreams` (host:port). Started when this returns."""

    def __init__(self, upstreams: Sequence[str], folder: Path) -> None:
        #: For what must not be in between when it is started anew.
        self.lock = threading.RLock()
        for attempt in range(5):
            port = ports.free(1)[0]
            self._address = f"127.0.0.1:{port}"
            command = [binaries.toxiproxy(), "-host", "127.0.0.1", "-port", str(port)]
            self.process = Process("toxiproxy", command, folder / "toxiproxy.log")
            self.process.start()
            if self._answers():
                break
            if attempt == 4 or not self.process.port_was_taken:
                failed = self.process.start_failed("did not answer")
                self.process.kill()
                raise failed
        self.proxies: list[Proxy] = []
        try:
            for upstream in upstreams:
                self.add(upstream)
        except BaseException:
            self.process.kill()
            raise

    @property
    def endpoints(self) -> list[str]:
        return [proxy.endpoint for proxy in self.proxies]

    def add(self, upstream: str, endpoint: str | None = None) -> Proxy:
        """One more, in `proxies`; `endpoint` is where it listens."""
        proxy = Proxy(self, f"p{len(self.proxies)}", upstream, endpoint)
        self.proxies.append(proxy)
        return proxy

    def restart(self) -> None:
        """On the same ports and without a toxic anywhere. All connections are cut."""
        with self.lock:
            self.process.kill()
            self.process.start()
            if not self._answers():
                raise self.process.start_failed("did not answer")
            for proxy in self.proxies:
                proxy.listen()

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Of its HTTP interface; its client libraries are older than it is."""
        with self.lock:
            connection = http.client.HTTPConnection(self._address, timeout=CALL_DEADLINE)
            try:
                connection.request(verb, path, None if body is None else json.dumps(body))
                answer = connection.getresponse()
                said = answer.read()
            finally:
                connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"toxiproxy: {verb} {path} {body}: {answer.status} {said.decode()}")
        return dict(json.loads(said)) if said else {}

    def _answers(self) -> bool:
        until = time.monotonic() + START_DEADLINE
        while self.process.running and time.monotonic() < until:
            try:
                self.call("GET", "/version")
                return self.process.running
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
        return False
