# SPDX-License-Identifier: Apache-2.0
"""Who asks, and what they may: a bearer token, and the rules of a Role."""

from __future__ import annotations

import secrets
from typing import Any

from tests.integration.cluster import status
from tests.integration.cluster.status import Kind

Object = dict[str, Any]


def allowed(role: Object) -> frozenset[tuple[str, str, str]]:
    """Return what a Role allows: verbs on resources of groups."""
    return frozenset(
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    )


class Rights:
    """The user of a cluster: whoever has the token."""

    def __init__(self, user: str = "alice", role: Object | None = None):
        self.token = secrets.token_hex(16)
        self.user = user
        self._allowed = None if role is None else allowed(role)
        self._forbidden: set[tuple[str, str]] = set()
        self.is_expired = False

    def forbid(self, verb: str, resource: str) -> None:
        """Take a right away."""
        self._forbidden.add((verb, resource))

    def allow_again(self) -> None:
        """Give back what was taken away."""
        self._forbidden.clear()

    def authenticate(self, authorization: str) -> None:
        """Refuse whoever has no token, or one that has expired."""
        if self.is_expired or not secrets.compare_digest(authorization, f"Bearer {self.token}"):
            raise status.unauthorized()

    def may(self, verb: str, group: str, resource: str) -> bool:
        """Return whether the user may do this."""
        if (verb, resource) in self._forbidden:
            return False
        if self._allowed is None:
            return True
        return any(
            (one, two, three) in self._allowed
            for one in (verb, "*")
            for two in (group, "*")
            for three in (resource, "*")
        )

    def review(self, asked: Object) -> Object:
        """Answer whether the user may do something, as ``kubectl auth can-i`` asks it."""
        wanted = asked.get("spec", {}).get("resourceAttributes") or {}
        resource = "/".join(filter(None, (wanted.get("resource", ""), wanted.get("subresource", ""))))
        may = self.may(wanted.get("verb", ""), wanted.get("group", ""), resource)
        return {**asked, "status": {"allowed": may}}

    def require(self, verb: str, kind: Kind, namespace: str, name: str, subresource: str) -> None:
        """Refuse what the user may not do, with the server's sentence."""
        resource = "/".join(filter(None, (kind.plural, subresource)))
        if self.may(verb, kind.group, resource):
            return
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = f'User "{self.user}" cannot {verb} resource "{resource}" in API group "{kind.group}" {where}'
        raise status.forbidden(kind, name, why)
