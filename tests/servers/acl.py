"""The tokens of a Consul that says no by default: who may what, given, taken and given back by a test."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .web import Refused

if TYPE_CHECKING:
    from .catalog import Catalog

# May everything, from the first start on: the initial management token, and what agents keep their nodes with.
ROOT = "00000000-0000-4000-8000-00000000a001"
# Whom `acl=True` makes, and what they may do. Their secrets outlive a wipe.
NODES = 'node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }'
RULES = {
    "app": 'service_prefix "" { policy = "write" } ' + NODES,
    "reader": 'service_prefix "" { policy = "read" } ' + NODES,
    "none": "",
}


def config() -> dict[str, Any]:
    """Of every agent."""
    return {
        "enabled": True,
        "default_policy": "deny",
        # How long an agent goes on with what it was told of a token: what is taken is gone after so long.
        "token_ttl": "1s",
        "policy_ttl": "1s",
        "role_ttl": "1s",
        # 1.11 and newer call `master` `initial_management`, and still know it.
        "tokens": {"master": ROOT, "agent": ROOT, "replication": ROOT},
    }


@dataclass
class _Token:
    rules: str
    policy: str
    accessor: str


class Acl:
    """Of the primary datacenter, whom the others ask. Client agents notice what changes within 1 s, servers at once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._tokens: dict[str, _Token] = {}
        self.named = {"root": ROOT} | {name: str(uuid.uuid4()) for name in RULES}

    def token(self, rules: str, *, secret: str | None = None) -> str:
        """The secret of a new token, which may what `rules` say, in Consul's language."""
        secret = secret or str(uuid.uuid4())
        name = f"p-{uuid.uuid4()}"
        policy = str(self._catalog.call("PUT", "acl/policy", {"Name": name, "Rules": rules})["ID"])
        self._tokens[secret] = _Token(rules, policy, str(uuid.uuid4()))
        self.restore(secret)
        return secret

    def change(self, secret: str, rules: str) -> None:
        """What it may from now on."""
        token = self._tokens[secret]
        policy = self._catalog.call("GET", f"acl/policy/{token.policy}")
        self._catalog.call("PUT", f"acl/policy/{token.policy}", {**policy, "Rules": rules})
        token.rules = rules

    def revoke(self, secret: str) -> None:
        """Nobody knows it any more: `ACL not found`."""
        self._catalog.call("DELETE", f"acl/token/{self._tokens[secret].accessor}")

    def restore(self, secret: str) -> None:
        """As it was before it was revoked."""
        token = self._tokens[secret]
        made = {"SecretID": secret, "AccessorID": token.accessor, "Policies": [{"ID": token.policy}]}
        try:
            self._catalog.call("PUT", "acl/token", made)
        except Refused as error:
            # A try before, whose answer was lost.
            if "already in use" not in error.message:
                raise

    def remove(self, secret: str) -> None:
        """It, and what it may, for good."""
        self.revoke(secret)
        self._catalog.call("DELETE", f"acl/policy/{self._tokens.pop(secret).policy}")

    def renew(self) -> None:
        """All tokens, in a Consul that knows none, or none any more."""
        known = {secret: token.rules for secret, token in self._tokens.items()}
        wanted = {self.named[name]: rules for name, rules in RULES.items()} | known
        self._tokens = {}
        for secret, rules in wanted.items():
            self.token(rules, secret=secret)
