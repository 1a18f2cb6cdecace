# SPDX-License-Identifier: Apache-2.0
"""
The files of a job on shared storage, which its conductor writes. Private to the collection.

Other machines read them, perhaps through a cache: a file appears complete or not at all, except the story, which only
grows.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import Any, Dict, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, job_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.module_utils._job import site

_REQUEST_BYTES = 1 << 24
_SYNC_SECONDS = 1.0
_ORDERS = {b"stop": wire.STOP, b"kill": wire.KILL}


class RequestError(ValueError):
    """The request is missing or unreadable."""


def take_request(place: str) -> Dict[str, Any]:
    """
    Read the request, and remove it, as it may hold secrets; if the job may be requeued, it stays until the job's end.

    Raises:
        RequestError: If there is none; the message says why.
    """
    path = os.path.join(place, job_directory.REQUEST)
    try:
        with open(path, "rb") as stream:
            data = stream.read(_REQUEST_BYTES + 1)
        request = wire.parse(data)
        if not request.get("requeue"):
            os.unlink(path)
        return request
    except (OSError, wire.WireError) as error:
        raise RequestError("%s: %s" % (path, getattr(error, "strerror", None) or error)) from error


def remove_request(place: str) -> None:
    """Remove the request of a job that will not be requeued any more."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(place, job_directory.REQUEST))


def key(place: str) -> bytes:
    """Read the key that all agents know."""
    with open(os.path.join(place, job_directory.KEY), "rb") as stream:
        return stream.read()


def write(place: str, name: str, data: Dict[str, Any]) -> None:
    """Write a file completely or not at all."""
    partial = os.path.join(place, ".%s.partial" % name)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        json.dump(data, stream)
        stream.flush()
        os.fsync(descriptor)
    os.rename(partial, os.path.join(place, name))


def order(place: str) -> Optional[bytes]:
    """Return the user's order, as it is sent over a channel; None if there is none."""
    with contextlib.suppress(OSError), open(os.path.join(place, job_directory.ORDER), "rb") as stream:
        return _ORDERS.get(stream.read(16).strip())
    return None


class Story(site.Story):
    """The events and the output of a run as frames in one file, with a limit on output."""

    def __init__(self, place: str, most: int) -> None:
        """
        Begin the file.

        Args:
            most: How many bytes of output are kept for each log, the first ones.
        """
        self._most = most
        self._sizes: Dict[Any, int] = {}
        self._descriptor = os.open(
            os.path.join(place, job_directory.STORY), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        self._synced = time.monotonic()
        self._cut: Set[Any] = set()

    @property
    def whole(self) -> Set[Tuple[str, str]]:
        """Host and name of each log that is completely in the file."""
        return set() if self.trouble else set(self._sizes) - self._cut

    def tell(self, event: Dict[str, Any], payload: bytes) -> None:
        """Add one event, output with the time; a full disk ends neither the job nor its followers."""
        if payload:
            event = {"time": round(time.time(), 3), **event}
            source = (event["host"], event["log"])
            size = self._sizes.get(source, 0)
            kept = payload[: max(0, self._most - size)]
            self._sizes[source] = size + len(payload)
            if len(kept) < len(payload):
                self._cut.add(source)
                gap = {"host": source[0], "log": source[1], "size": len(payload) - len(kept)}
                self._write(wire.encode({"event": events.SKIPPED, **gap}))
            if not kept:
                return
            payload = kept
        elif event["event"] == events.SKIPPED:
            self._cut.add((event["host"], event["log"]))
        self._write(wire.encode(event, payload))

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            if time.monotonic() - self._synced > _SYNC_SECONDS:
                # Otherwise a network file system may keep it on this node for half a minute.
                os.fdatasync(self._descriptor)
                self._synced = time.monotonic()
        except OSError as error:
            message = "the output could not be kept: %s" % error.strerror
            self.trouble = self.trouble or problem("OUTPUT_LOST", None, message, "see the run directories on the nodes")

    def close(self) -> None:
        """Flush all of it to the storage."""
        with contextlib.suppress(OSError):
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)
