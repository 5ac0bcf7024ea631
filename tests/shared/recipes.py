"""The rights that the guides give programs, read out of their recipes, so that what is tested is what is written there.

A right is as its registry's own tools spell it: `read /services/`, `service "billing" { policy = "write" }`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
#: The service that the recipes are written for, and the user of etcd or the policy of Consul with its rights.
SERVICE = "billing"

ROLE_RIGHT = re.compile(r"^etcdctl role grant-permission --prefix (\S+) (read|write|readwrite) (\S+)$", re.M)
ROLE_OF_USER = re.compile(r"^etcdctl user grant-role (\S+) (\S+)$", re.M)
POLICY = re.compile(r"^consul acl policy create -name (\S+) -rules - <<'RULES'\n(.*?)^RULES$", re.M | re.S)


def of_etcd(user: str = SERVICE) -> list[str]:
    """What one of the guide's users may: all that its roles allow."""
    recipe = _recipe("etcd.md")
    granted = ROLE_RIGHT.findall(recipe)
    assert len(granted) == recipe.count("grant-permission"), "docs/etcd.md gives rights in other words"
    rights = defaultdict(list)
    for role, kind, prefix in granted:
        rights[role].append(f"{kind} {prefix}")
    found = [right for its, role in ROLE_OF_USER.findall(recipe) if its == user for right in rights[role]]
    assert found, f"docs/etcd.md gives no rights to {user!r}"
    return found


def permission(right: str) -> tuple[str, str]:
    """A right of etcd's as its interface has it: the kind, and the prefix."""
    kind, prefix = right.split(" ")
    return kind.upper(), prefix


def of_consul(policy: str = SERVICE) -> list[str]:
    """The rules of one of the guide's policies."""
    recipe = _recipe("consul.md")
    policies = POLICY.findall(recipe)
    assert len(policies) == recipe.count("acl policy create"), "docs/consul.md gives rights in other words"
    found = [right for name, rules in policies if name == policy for right in rules.splitlines()]
    assert found, f"docs/consul.md gives no rights to {policy!r}"
    return found


def for_services(rights: Iterable[str], services: Iterable[str]) -> list[str]:
    """The same for a program that registers these: what is for the recipe's service is for each of them."""
    names = list(services)
    return [
        right.replace(SERVICE, name)
        for right in rights
        for name in (names if SERVICE in right else [SERVICE])
    ]


def _recipe(guide: str) -> str:
    """Its first commands."""
    block = re.search(r"^```sh\n(.*?)^```$", (DOCS / guide).read_text(encoding="utf-8"), re.M | re.S)
    assert block, f"docs/{guide} has no recipe"
    return block[1]
