# SPDX-License-Identifier: Apache-2.0
"""Fetch the files of a run from its nodes into directories on this machine. Private to the collection."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Deque, Dict, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import unpacking
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents, at_once
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Refused, Task
from ansible_collections.madctl.multinode.plugins.module_utils._ways.way import Way, Ways

MAX_BYTES = 1 << 32
SILENCE_SECONDS = 60.0
_RUN_BYTES = 1 << 20
_PACK = "_runs.run_state:pack"


class Fetched(NamedTuple):
    """The result for one node: whether it changed local files, why it failed, and what the node left out."""

    changed: bool
    failure: Optional[str] = None
    left_out: Optional[str] = None


def from_all(ways: Ways, requests: Dict[str, Dict[str, Any]], base: str, size: int) -> Dict[str, Fetched]:
    """
    Fetch from many nodes, a bounded number at once, each into a directory below ``base`` named after the node.

    Args:
        requests: ``run_id`` and ``run_dir`` by host.
        size: How many bytes each node's files may have.
    """
    with ThreadPoolExecutor(at_once()) as pool:
        fetching = {
            host: pool.submit(from_node, ways[host], request, os.path.join(base, host), size)
            for host, request in requests.items()
        }
        return {host: fetched.result() for host, fetched in fetching.items()}


def from_node(way: Way, request: Dict[str, Any], directory: str, size: int) -> Fetched:
    """Fetch the files of one node into a directory."""
    partial = directory + ".partial"
    with closing(Loop()) as loop, Agents(loop, {way.host: way}) as agents:
        source = _Source(agents, way.host, request)
        try:
            if not source.begins():
                return Fetched(False, source.failure)
            renew(partial)
            left_out = unpacking.unpack(source.read, partial, size)
            return Fetched(replace(directory, partial), None, left_out)
        except (Refused, OSError) as error:
            return Fetched(False, "its archive was refused: %s" % reason(error, is_named=True))
        finally:
            shutil.rmtree(partial, ignore_errors=True)


class _Source:
    """The bytes of one node's archive, on demand."""

    def __init__(self, agents: Agents, host: str, request: Dict[str, Any]) -> None:
        self._loop = agents.loop
        self._pieces: Deque[bytes] = deque()
        self._has_begun = self._is_over = False
        self.failure: Optional[str] = None
        agents.become(host, Task(_PACK, request, self._answered, told=self._told, raw=self._pieces.append))

    def _told(self, _: Dict[str, Any]) -> None:
        self._has_begun = True

    def _answered(self, answer: Answer) -> None:
        self._is_over, self.failure = True, str(answer.get("msg"))

    def begins(self) -> bool:
        """Wait until the archive begins, and return whether it did."""
        self._loop.until(lambda: self._has_begun or self._is_over, SILENCE_SECONDS)
        if not self._has_begun and not self._is_over:
            self.failure = "it sent nothing for %g s" % SILENCE_SECONDS
        return self._has_begun

    def read(self) -> bytes:
        """
        Return the next bytes, none at the end.

        Raises:
            Refused: If nothing arrives for too long.
        """
        self._loop.until(lambda: self._pieces or self._is_over, SILENCE_SECONDS)
        if self._pieces:
            return self._pieces.popleft()
        if not self._is_over:
            raise Refused("it sent nothing for %g s" % SILENCE_SECONDS)
        return b""


def renew(directory: str) -> None:
    """Make an empty directory that only this user can read."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    os.mkdir(directory, 0o700)


def replace(directory: str, by: str) -> bool:
    """Replace a directory by another unless both have the same content; return whether it was replaced."""
    if os.path.isdir(directory) and same(by, directory):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    os.rename(by, directory)
    return True


def is_replaced(directory: str, run_id: str) -> bool:
    """Return whether a directory may be replaced: it is missing, empty, or holds the same run."""
    try:
        if not os.listdir(directory):
            return True
        # A node wrote this file.
        with open(os.path.join(directory, run_directory.DESCRIPTION), "rb") as stream:
            return bool(wire.parse(stream.read(_RUN_BYTES)).get("run_id") == run_id)
    except FileNotFoundError:
        return not os.path.isdir(directory)
    except (OSError, ValueError):
        return False


def same(one: str, other: str) -> bool:
    """Return whether two directories contain the same files, byte for byte."""
    found = filecmp.dircmp(one, other, ignore=[])
    if found.left_only or found.right_only or found.common_funny:
        return False
    _, different, unread = filecmp.cmpfiles(one, other, found.common_files, shallow=False)
    below = (same(os.path.join(one, name), os.path.join(other, name)) for name in found.common_dirs)
    return not different and not unread and all(below)
