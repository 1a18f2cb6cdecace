# SPDX-License-Identifier: Apache-2.0
"""
One namespace of a cluster, accessed through the ``kubernetes`` package; no other file imports that package.

Objects are plain dictionaries, as the server writes them: the package's models would refuse data of newer servers.
Private to the collection.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import socket
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused

JOB, POD, SERVICE, CONFIG_MAP, SECRET, EVENT = "Job", "Pod", "Service", "ConfigMap", "Secret", "Event"
_PLURAL = {JOB: "job", POD: "pod", SERVICE: "service", CONFIG_MAP: "config_map", SECRET: "secret", EVENT: "event"}
# To connect; to wait for the next byte of an answer.
CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 20.0
# A load balancer may have forgotten a stream that is silent for longer.
STREAM_SECONDS = 300.0
_MOST_BYTES, _LINE_BYTES = 64 << 20, 1 << 22
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_MESSAGE = 600  # characters
_GONE = 410
_REMEDIES = {
    401: "log in to the cluster again, or choose another --context",
    403: "ask for the rights that docs/how_to/kubernetes.md lists",
}


class Listed(NamedTuple):
    """Objects, and the version of the list from which a watch continues."""

    items: List[Dict[str, Any]]
    version: str


class Expired(Exception):  # noqa: N818  an answer of the server, not an error of ours
    """The server no longer knows the version from which a watch should continue: list again."""


class Stream:
    """The lines of an answer that arrives piece by piece."""

    def __init__(self, response: Any) -> None:
        self._response = response
        # The current line, still without its newline: a proxy may end the stream in the middle of one.
        self.rest = b""

    def __iter__(self) -> Iterator[bytes]:
        """
        Yield whole lines without their newlines, until the server ends the stream, or is silent for too long.

        Raises:
            Refused: If the connection breaks.
        """
        try:
            for data in self._response.stream(1 << 16):
                *lines, self.rest = (self.rest + data).split(b"\n")
                yield from lines
                self.rest = self.rest[:_LINE_BYTES]
        except Exception as error:
            if isinstance(error.__cause__, socket.timeout):
                return
            raise _unreachable(error) from error

    def close(self) -> None:
        """End it, even while another thread waits for a line."""
        with contextlib.suppress(Exception):
            self._response.shutdown()
        with contextlib.suppress(Exception):
            self._response.close()


def require() -> Any:
    """
    Return the ``kubernetes`` package.

    Raises:
        Refused: If it is not installed.
    """
    try:
        return importlib.import_module("kubernetes")
    except ImportError as error:
        remedy = "pip install 'madctl[kubernetes]'"
        raise Refused("SCHEDULER_MISSING", "the Python package kubernetes is not installed", remedy) from error


def _settings(kubernetes: Any, kubeconfig: str, context: str) -> Tuple[Any, str, str]:
    """Return a client, the name of its context, and the namespace of that context."""
    config = kubernetes.config
    try:
        if not kubeconfig and not context and "KUBERNETES_SERVICE_HOST" in os.environ and not _has_kubeconfig():
            config.load_incluster_config()
            with open(_SERVICE_ACCOUNT, encoding="utf-8") as stream:
                return kubernetes.client.ApiClient(), "", stream.read(256).strip()
        # The package itself reads the variable only when it is imported.
        path, named = os.path.expanduser(kubeconfig) or os.environ.get("KUBECONFIG") or None, context or None
        contexts, current = config.list_kube_config_contexts(config_file=path)
        chosen = next((one for one in contexts if one["name"] == named), current) if named else current
        client = config.new_client_from_config(config_file=path, context=named)
        space = (chosen or {}).get("context", {}).get("namespace")
        return client, str((chosen or {}).get("name") or ""), str(space or "")
    except Refused:
        raise
    except Exception as error:  # The package raises many kinds of errors, also for a malformed file.
        said = " ".join(str(error).split())[:_MESSAGE] or type(error).__name__
        remedy = "name one with --kubeconfig PATH, and a --context in it"
        raise Refused("SCHEDULER_MISSING", "no usable kubeconfig: %s" % said, remedy) from error


def _has_kubeconfig() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or os.path.exists(os.path.expanduser("~/.kube/config"))


class Cluster:
    """One namespace of a cluster."""

    def __init__(self, kubeconfig: str = "", context: str = "", namespace: str = "") -> None:
        """
        Prepare; the server is not contacted yet.

        Args:
            kubeconfig: The path of a kubeconfig; empty for the usual one.
            context: A context in it; empty for its current one.
            namespace: A namespace; empty for that of the context.

        Raises:
            Refused: If the package is missing, or there is no usable kubeconfig.
        """
        kubernetes = require()
        # The current context of a kubeconfig may change; this is the one in use.
        client, self.context, usual = _settings(kubernetes, kubeconfig, context)
        client.configuration.retries = False  # The caller knows whether to retry.
        self.namespace = namespace or usual or "default"
        self._core, self._batch = kubernetes.client.CoreV1Api(client), kubernetes.client.BatchV1Api(client)
        self._error = kubernetes.client.exceptions.ApiException

    def _ask(self, verb: str, kind: str, *given: Any, seconds: float = ANSWER_SECONDS, **named: Any) -> Any:
        """Query the server, and return its unparsed answer."""
        api = self._batch if kind == JOB else self._core
        plural = "pod_log" if verb == "read" and "container" in named else _PLURAL[kind]
        method = getattr(api, "%s_namespaced_%s" % (verb, plural))
        try:
            return method(*given, _preload_content=False, _request_timeout=(CONNECT_SECONDS, seconds), **named)
        except self._error as error:
            if not error.status:
                raise _unreachable(error) from error
            raise self._refused(error) from error
        except Exception as error:  # urllib3 raises many kinds
            raise _unreachable(error) from error

    def _refused(self, error: Any) -> Refused:
        """Return the server's own message."""
        body = error.body if isinstance(error.body, (bytes, str)) else b""
        found = wire.parse_or_none(body) or {}
        said = str(found.get("message") or error.reason or "the server gave no reason")
        said = " ".join(said.split())[:_MESSAGE]
        code = "SCHEDULER_UNREACHABLE" if error.status >= 500 or error.status == 429 else "SCHEDULER_REFUSED"
        return Refused(code, "Kubernetes: %s" % said, _REMEDIES.get(error.status), error.status)

    def _object(self, response: Any) -> Dict[str, Any]:
        try:
            data = response.read(_MOST_BYTES)
        except Exception as error:
            raise _unreachable(error) from error
        finally:
            response.release_conn()
        found = wire.parse_or_none(data)
        if found is None:
            raise Refused("SCHEDULER_UNREACHABLE", "Kubernetes sent something that is not an object")
        return found

    def create(self, manifest: Dict[str, Any], dry_run: bool = False) -> Dict[str, Any]:
        """
        Create an object.

        Raises:
            Refused: If the server refuses it, or cannot be reached; the same holds for all methods below.
        """
        how: Dict[str, Any] = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        return self._object(self._ask("create", manifest["kind"], self.namespace, manifest, **how))

    def get(self, kind: str, name: str) -> Optional[Dict[str, Any]]:
        """Return an object; None if there is none with that name."""
        try:
            return self._object(self._ask("read", kind, name, self.namespace))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def list(self, kind: str, selector: str, seconds: float = ANSWER_SECONDS) -> Listed:
        """Return the objects that have certain labels."""
        found = self._object(self._ask("list", kind, self.namespace, label_selector=selector, seconds=seconds))
        return Listed(_items(found), version(found))

    def events(self, name: str) -> List[Dict[str, Any]]:
        """Return the events about an object."""
        response = self._ask("list", EVENT, self.namespace, field_selector="involvedObject.name=%s" % name)
        return _items(self._object(response))

    def watch(self, kind: str, selector: str, version: str) -> Stream:
        """
        Return a stream of changes since a version of the list.

        Raises:
            Expired: If the server no longer knows that version.
        """
        seconds = math.ceil(STREAM_SECONDS)
        how = {"watch": True, "timeout_seconds": seconds, "allow_watch_bookmarks": True, "resource_version": version}
        try:
            asked = self._ask(
                "list", kind, self.namespace, seconds=seconds + ANSWER_SECONDS, label_selector=selector, **how
            )
        except Refused as refused:
            if refused.status == _GONE:
                raise Expired from refused
            raise
        return Stream(asked)

    def log(
        self, pod: str, container: str, since_seconds: Optional[int], follow: bool, tail: Optional[int] = None
    ) -> Stream:
        """Return what a container has printed, each line after its time; with ``follow``, also what it will print."""
        how: Dict[str, Any] = {"container": container, "follow": follow, "timestamps": True}
        how.update({} if since_seconds is None else {"since_seconds": since_seconds})
        how.update({} if tail is None else {"tail_lines": tail})
        return Stream(self._ask("read", POD, pod, self.namespace, seconds=STREAM_SECONDS, **how))

    def annotate(self, pod: str, name: str, value: str) -> None:
        """Write an annotation of a pod of a job, which always has some already."""
        path = "/metadata/annotations/" + name.replace("~", "~0").replace("/", "~1")
        patch = [{"op": "add", "path": path, "value": value}]
        self._object(self._ask("patch", POD, pod, self.namespace, patch))

    def delete(self, kind: str, name: str) -> bool:
        """Delete an object, in the case of a job its pods first; return whether it existed."""
        try:
            self._object(self._ask("delete", kind, name, self.namespace, propagation_policy="Foreground"))
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True


def version(found: Dict[str, Any]) -> str:
    """Return the version of an object or of a list; empty if it has none."""
    meta = found.get("metadata")
    return str(meta.get("resourceVersion") or "") if isinstance(meta, dict) else ""


def _items(found: Dict[str, Any]) -> List[Dict[str, Any]]:
    items = found.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def change(line: bytes) -> Tuple[str, Dict[str, Any]]:
    """
    Parse one line of a watch.

    Returns:
        ``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``, and the object.

    Raises:
        Expired: If the watch cannot continue from where it was.
        Refused: If it is something else.
    """
    found = wire.parse_or_none(line) or {}
    kind, seen = found.get("type"), found.get("object")
    if not isinstance(kind, str) or not isinstance(seen, dict):
        raise Refused("SCHEDULER_UNREACHABLE", "Kubernetes sent something that is not a change")
    if kind == "ERROR":
        if seen.get("code") == _GONE:
            raise Expired
        said = " ".join(str(seen.get("message", "")).split())[:_MESSAGE]
        raise Refused("SCHEDULER_UNREACHABLE", "Kubernetes: %s" % said)
    return kind, seen


def _unreachable(error: Exception) -> Refused:
    """Describe in one line why the server could not be reached."""
    if isinstance(error, Refused):
        return error
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    reason = getattr(error, "reason", None) or error
    said = " ".join(str(reason).split())[:_MESSAGE]
    return Refused("SCHEDULER_UNREACHABLE", "the Kubernetes API server cannot be reached: %s" % said)
