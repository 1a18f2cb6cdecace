# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes job as the conductor in its first pod sees it. Private to the collection."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    codes,
    events,
    pod_log,
    pods,
    run_directory,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import (
    Shape,
    cut,
    fields,
    maybe,
    number,
    text,
    whole,
)
from ansible_collections.madctl.multinode.plugins.module_utils._job import pod_code, site, work
from ansible_collections.madctl.multinode.plugins.module_utils._ways.dialled import Door

_MOST_BYTES = 1 << 24
_TURN_SECONDS = 0.2
# The state is printed when it changes, and at least this often: status queries read the last half minute.
_SHOW_SECONDS = 10.0
_ORDERS = {"stop": wire.STOP, "kill": wire.KILL}
_ORDER = re.compile(r'^%s="(\w{1,8})"$' % re.escape(pods.ORDER), re.MULTILINE)
_MESSAGE = 600  # bytes
_FIRST = ("rank", "signal")
_DAY_SECONDS = 86400
_ABOUT = fields(
    {
        "job": text(63),
        "service": text(63),
        "nodes": whole(1, 1 << 17),
        "port": whole(1, 65535),
        "agents_seconds": number(0, _DAY_SECONDS),
    },
    {"logs": maybe(text())},
)
_REQUEST = fields({"arguments": fields({"run_id": text(255)}), "agents_seconds": number(0, _DAY_SECONDS)})

Write = Callable[[bytes], Any]


class About(NamedTuple):
    """The content of ``pod.json``: the job, its number of pods, the conductor's port, where else output is kept."""

    job: str
    service: str
    nodes: int
    port: int
    agents_seconds: float
    logs: Optional[str] = None


def about(directory: str = pods.PROGRAMS) -> About:
    """
    Read what a pod needs to know first.

    Raises:
        SiteError: If it cannot be read.
    """
    found = _read(os.path.join(directory, pods.ABOUT), _ABOUT)
    return About(**{name: found[name] for name in About._fields if name in found})


def request(directory: str = pods.SECRETS) -> Dict[str, Any]:
    """
    Read what to run.

    Raises:
        SiteError: If it cannot be read.
    """
    return _read(os.path.join(directory, pods.REQUEST), _REQUEST)


def _read(path: str, shape: Shape) -> Dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            found = wire.parse(stream.read(_MOST_BYTES))
    except (OSError, wire.WireError) as error:
        raise site.SiteError("%s: %s" % (path, getattr(error, "strerror", None) or error)) from error
    if not shape(found):
        raise site.SiteError("%s: a value is missing, or invalid" % path)
    return found


class PodStory(site.Story):
    """Prints events in the log of this pod; every pod prints its own output."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def tell(self, event: Dict[str, Any], payload: bytes) -> None:
        """Print one event."""
        if not payload and event["event"] != events.SKIPPED:
            say(self._write, pod_log.EVENT, event)


def say(write: Write, label: str, said: Mapping[str, Any]) -> None:
    """Print one object as a line of the conductor."""
    for line in pod_log.lines(label, json.dumps(said).encode() + b"\n"):
        write(line)


class Pods(site.Arrivals):
    """The agents of all pods, which the cluster starts when it has room for them."""

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> List[codes.Problem]:
        """Wait until all agents have dialled in, and return which did not."""
        deadline = time.monotonic() + seconds
        while self.door.missing() and not is_over():
            if time.monotonic() >= deadline:
                why, remedy = "its pod did not start within %g s" % seconds, "kubectl describe pod"
                return [codes.problem("NODE_NOT_READY", host, why, remedy) for host in self.door.missing()]
            self.door.loop.turn(_TURN_SECONDS)
        return []


class PodSite(site.Site):
    """A Kubernetes job."""

    order_seconds = 1.0
    ends_parts = True

    def __init__(self, known: About, write: Write, secrets: str = pods.SECRETS, annotations: str = pods.ORDERS) -> None:
        """
        Read the request.

        Args:
            write: Takes lines of this pod's log.
            secrets: The directory of the key and the request.
            annotations: The directory of this pod's own annotations.

        Raises:
            SiteError: If there is none.
        """
        self._known, self._write, self._secrets, self._annotations = known, write, secrets, annotations
        self.hosts = [pods.host(number) for number in range(known.nodes)]
        self.given = request(secrets)
        if self.given.get("code"):
            self.given["code"] = {**self.given["code"], "trees": pod_code.base()}
        self.python = sys.executable
        self._shown: Optional[Dict[str, Any]] = None
        self._shown_at = 0.0

    def arguments(self, filled: site.Arguments) -> site.Arguments:
        """Return the arguments, completed by what the image decides if the user does not."""
        return {
            **filled,
            "run_dir": run_directory.base(os.geteuid()),
            "chdir": filled["chdir"] or (None if self.given.get("code") else os.getcwd()),
            "python": filled["python"] or shutil.which("python3") or sys.executable,
        }

    def story(self, log_cap: int) -> site.Story:
        """Begin to print events."""
        del log_cap
        return PodStory(self._write)

    def show(self, stage: str, shown: Mapping[str, Any]) -> None:
        """Print the state of the run if it is news."""
        nodes = shown["nodes"].values()
        joined = sum(node["joined"] for node in nodes)
        states: Dict[str, int] = {}
        for node in nodes:
            states[node["state"]] = states.get(node["state"], 0) + 1
        found = {"stage": stage, "began": shown["began"], "joined": joined, "states": states}
        if found != self._shown or time.monotonic() - self._shown_at >= _SHOW_SECONDS:
            self._shown, self._shown_at = found, time.monotonic()
            say(self._write, pod_log.STATE, {**found, "time": round(time.time(), 3)})

    def order(self) -> Optional[bytes]:
        """Read the order of the user from this pod's annotations, which the cluster rewrites when they change."""
        with contextlib.suppress(OSError, ValueError):
            path = os.path.join(self._annotations, pods.ANNOTATIONS)
            with open(path, encoding="utf-8", errors="replace") as stream:
                found = _ORDER.search(stream.read(_MOST_BYTES))
            return _ORDERS.get(found[1]) if found else None
        return None

    def door(self, loop: Loop) -> Door:
        """Listen where pods were told to dial."""
        try:
            with open(os.path.join(self._secrets, pods.KEY), "rb") as stream:
                key = stream.read()
            return Door(loop, key, self.hosts, work.any_address(), (self._known.port,))
        except OSError as error:
            remedy = "; another run with --host-network may use it" if error.errno == errno.EADDRINUSE else ""
            message = "pods cannot dial in on port %d: %s%s" % (self._known.port, error.strerror, remedy)
            raise site.SiteError(message) from error

    def arrivals(self, door: Door) -> site.Arrivals:
        """Return the object that waits for the pods."""
        return Pods(door)


def verdict(
    result: Mapping[str, Any], began: Optional[float], own: Optional[Mapping[str, Any]] = None
) -> Dict[str, Any]:
    """
    Return what remains known of a run when its pods' logs are gone, short enough for a termination message.

    Args:
        own: How the part of the first pod ended, if it began.

    Returns:
        ``exit_code``, ``by_scheduler``, ``began`` and ``ended`` in seconds since the epoch, ``joined`` ranks,
        ``restarts``, ``own``; if it failed, also ``code``, and ``first`` with ``host``, ``rank``, ``signal``,
        ``message``, ``remedy`` and ``error``.
    """
    found: Dict[str, Any] = {
        "exit_code": result["exit_code"],
        "by_scheduler": bool(result.get("by_scheduler")),
        "began": began,
        "ended": result.get("ended") or round(time.time(), 3),
        "joined": result.get("summary", {}).get("ranks_joined"),
        "restarts": len(result.get("restarts") or ()),
        **({"own": dict(own)} if own else {}),
    }
    if result["problems"]:
        first = result["problems"][0]
        texts = {"message": first["message"], "remedy": first.get("remedy"), "error": result.get("error")}
        short = {name: _short(said) for name, said in texts.items() if said or name == "message"}
        host = first.get("host") and _short(first["host"])
        found.update(code=first["code"], first={"host": host, **{name: first.get(name) for name in _FIRST}, **short})
    return found


def _short(said: str) -> str:
    """Cut a text to this many bytes of JSON, in which a character may take twelve."""
    said = cut(said, _MESSAGE)
    while len(json.dumps(said)) > _MESSAGE:
        said = said[: len(said) * _MESSAGE // len(json.dumps(said))]
    return said
