"""A test CA and what it signed: certificates of servers and clients, good and bad, that can be rotated under a running
etcd or callsheet.
"""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Literal

import trustme  # the CA of many projects' tests; a few lines over cryptography, expiry included

Kind = Literal["good", "expired", "unknown-ca", "wrong-name"]
HOSTS = ("127.0.0.1", "localhost")


class Certificates:
    """Files in one folder: `ca`, `server` (chain and key in one), `client_cert` and `client_key`."""

    def __init__(self, folder: Path, *, client_name: str = "app") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / "ca.pem"
        self.unknown_ca = folder / "unknown-ca.pem"
        """One that signed nothing here, to be given where the right one belongs."""
        self.server = folder / "server.pem"
        self.client_cert = folder / "client.pem"
        self.client_key = folder / "client.key"
        self.client_name = client_name
        self._ca, self._unknown_ca = trustme.CA(), trustme.CA()
        self._ca.cert_pem.write_to_path(self.ca)
        self._unknown_ca.cert_pem.write_to_path(self.unknown_ca)
        self.own = folder / "own.pem"
        """The fixtures' own way in, whatever is made of the others. Nameless: a name would be a user to etcd."""
        _write(self.own, self._issue("good", None, 30))
        self.issue_server()
        self.issue_client()

    def issue_server(self, kind: Kind = "good", *, days: float = 30) -> None:
        """Anew, over the last one; etcd reads it for each connection. `days` is how long it is valid."""
        _write(self.server, self._issue(kind, None, days))

    def issue_client(self, kind: Kind = "good", *, days: float = 30) -> None:
        """Anew, over the last one; certificate first, so that for a moment the two may not fit."""
        issued = self._issue(kind, self.client_name, days)
        _write(self.client_cert, issued, key=False)
        _write(self.client_key, issued, chain=False)

    def context(self) -> ssl.SSLContext:
        """For the fixture's own questions: shows a good client certificate and takes any server's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(self.own)
        return context

    def _issue(self, kind: Kind, name: str | None, days: float) -> trustme.LeafCert:
        now = datetime.datetime.now(datetime.timezone.utc)
        until = now + datetime.timedelta(days=-1 if kind == "expired" else days)
        ca = self._unknown_ca if kind == "unknown-ca" else self._ca
        hosts = ("elsewhere.example",) if kind == "wrong-name" else HOSTS
        begin = now - datetime.timedelta(days=2)
        return ca.issue_cert(*hosts, common_name=name, not_before=begin, not_after=until)


def _write(path: Path, issued: trustme.LeafCert, *, chain: bool = True, key: bool = True) -> None:
    """Whole, by a rename: the readers never see half of it."""
    parts = [blob.bytes() for blob in issued.cert_chain_pems] if chain else []
    parts += [issued.private_key_pem.bytes()] if key else []
    new = path.with_suffix(".new")
    new.write_bytes(b"".join(parts))
    new.chmod(0o600)
    new.replace(path)
