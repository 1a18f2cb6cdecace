# SPDX-License-Identifier: Apache-2.0
"""How an API server says no: the Status objects of each refusal, with the server's sentences."""

from __future__ import annotations

from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of objects that the API server keeps."""

    plural: str
    name: str
    group: str = ""
    short: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ("create", "delete", "get", "list", "patch", "update", "watch")

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"

    @property
    def qualified(self) -> str:
        """Its plural as errors name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS = {
    kind.plural: kind
    for kind in (
        Kind("pods", "Pod", short=("po",)),
        Kind("services", "Service", short=("svc",)),
        Kind("configmaps", "ConfigMap", short=("cm",)),
        Kind("secrets", "Secret"),
        Kind("events", "Event", short=("ev",)),
        Kind("persistentvolumeclaims", "PersistentVolumeClaim", short=("pvc",)),
        Kind("namespaces", "Namespace", short=("ns",), namespaced=False),
        Kind("jobs", "Job", "batch"),
    )
}


class StatusError(Exception):
    """A request that ends with a Status instead of an object."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None):
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    def status(self) -> dict[str, Any]:
        """Return it as the server sends it."""
        found = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        found |= {"message": self.message, "reason": self.reason, "code": self.code}
        return found | ({"details": self.details} if self.details else {})


def _about(kind: Kind, name: str) -> dict[str, Any]:
    return {"name": name, **({"group": kind.group} if kind.group else {}), "kind": kind.plural}


def not_found(kind: Kind, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{kind.qualified} "{name}" not found', _about(kind, name))


def already_exists(kind: Kind, name: str) -> StatusError:
    return StatusError(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', _about(kind, name))


def conflict(kind: Kind, name: str) -> StatusError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return StatusError(409, "Conflict", message, _about(kind, name))


def forbidden(kind: Kind, name: str, why: str) -> StatusError:
    subject = f'{kind.qualified} "{name}"' if name else kind.qualified
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {why}", _about(kind, name))


def invalid(kind: Kind, name: str, problems: list[str]) -> StatusError:
    """Refuse an object; each problem begins with its field."""
    qualified = f"{kind.name}.{kind.group}" if kind.group else kind.name
    text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    causes = [{"reason": _cause(rest), "message": rest, "field": field} for field, rest in map(_parted, problems)]
    details = {"name": name, "group": kind.group, "kind": kind.name, "causes": causes}
    return StatusError(422, "Invalid", f'{qualified} "{name}" is invalid: {text}', details)


def _parted(problem: str) -> tuple[str, str]:
    field, _, rest = problem.partition(": ")
    return field, rest


def _cause(text: str) -> str:
    words = text.partition(":")[0].split()
    return "FieldValue" + "".join(word.capitalize() for word in words[:2] if word != "value")


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unreachable(address: str) -> StatusError:
    why = f'Get "https://{address}:10250/containerLogs": dial tcp {address}:10250: connect: no route to host'
    return StatusError(500, "InternalError", why)


def internal() -> StatusError:
    return StatusError(500, "InternalError", "Internal error occurred: the stand-in failed, see its failures")


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def expired(asked: int, oldest: int) -> StatusError:
    return StatusError(410, "Expired", f"too old resource version: {asked} ({oldest})")


def no_path() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})
