# SPDX-License-Identifier: Apache-2.0
"""
Collect a run in a job from its directory: logs from its story, other files from what its nodes kept at their end.

The layout is that of files fetched over SSH. Nodes are not contacted: they may belong to other jobs by now.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, job_directory, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import fetching, unpacking
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Refused
from madctl.errors import Problem
from madctl.jobs import place

_PIECE = 1 << 18
_PARTIAL, _OUTPUT = ".partial", ".output"


class Collected(NamedTuple):
    """The collected files of a run: the directory of each host, why others have none, and what is missing."""

    nodes: dict[str, str]
    problems: list[Problem]
    notices: list[Problem]


def collect(where: Path, run_id: str, dest: Path, size: int) -> Collected:
    """
    Write a directory per node of a run; if the run was restarted, with the files of its last attempt.

    Args:
        where: The directory of its job.
        run_id: The ID of the run, which may have been restarted since.
        size: The most bytes that each node's files may have.
    """
    output = Output(dest, size)
    try:
        output.read(where)
        run_id = output.run_id or run_id
        problems = taken(output, run_id)
        if problems:
            return Collected({}, problems, [])
        result = place.read(where, job_directory.RESULT)
        nodes, notices = {}, []
        for host, run_dir in output.hosts.items():
            try:
                left_out = write_node(output, host, run_id, where)
            except (Refused, OSError) as error:
                problems.append(Problem("NODE_SILENT", f"its files were refused: {reason(error, is_named=True)}", host))
                continue
            nodes[host] = str(dest / host)
            missing = left_out if left_out is not None else _elsewhere(result, host, run_dir)
            notices += [Problem("FILES_LEFT_OUT", missing, host)] if missing else []
        return Collected(nodes, problems, notices)
    finally:
        output.close()


def taken(output: Output, run_id: str) -> list[Problem]:
    """Return a problem for each node whose directory holds anything but files of this run or its attempts."""
    return [found for host in output.hosts if (found := _taken(output.dest / host, run_id, host))]


def _taken(place: Path, run_id: str, host: str) -> Problem | None:
    first = run_id.partition(".")[0]
    if any(fetching.is_replaced(str(place), name) for name in (run_id, first)):
        return None
    return Problem("DEST_IN_USE", f"{place} exists and is not from this run", host, "name another directory")


def write_node(output: Output, host: str, run_id: str, where: Path | None = None) -> str | None:
    """
    Write the files of one node.

    Args:
        where: The directory of its job, if nodes kept files there.

    Returns:
        What the node left out, empty if that is nothing; None if it kept no files.
    """
    final = output.dest / host
    partial = final.with_name(f"{host}{_PARTIAL}")
    fetching.renew(str(partial))
    try:
        left_out = _unpacked(where, host, partial, output.left_of(host))
        partial.mkdir(0o700, exist_ok=True)
        output.move(host, partial)
        _complete(partial, {"run_id": run_id, "host": host}, output.ends.get(host))
        fetching.replace(str(final), str(partial))
        return left_out
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpacked(where: Path | None, host: str, partial: Path, size: int) -> str | None:
    if where is None:
        return None
    try:
        with open(where / job_directory.KEPT / f"{host}{job_directory.PACK}", "rb") as stream:
            return unpacking.unpack(lambda: stream.read(_PIECE), str(partial), size) or ""
    except FileNotFoundError:
        return None


def _complete(partial: Path, about: Mapping[str, Any], end: Mapping[str, Any] | None) -> None:
    """Write the files that every collected node has, unless it kept them itself: its run, and how that ended there."""
    for name, data in ((run_directory.DESCRIPTION, about), (run_directory.RECORD, end)):
        path = partial / name
        if data is not None and not path.exists():
            path.write_text(json.dumps(data) + "\n")


def _elsewhere(result: Mapping[str, Any] | None, host: str, run_dir: str) -> str:
    """Describe where the rest of a node's files is."""
    if result is None:
        return f"only its output is here: the run has not ended in order; the rest is on the node: {run_dir}"
    left = result.get("left")
    why = left.get(host) if isinstance(left, dict) else None
    if why is None:
        return f"only its output is here; the rest is on the node: {run_dir}"
    return f"only its output is here; the rest is on the node: {why['run_dir']}: {why['why']}"


class Output:
    """What the story of a run has about each node: its logs, as files beside their final place, and how it ended."""

    def __init__(self, dest: Path, size: int) -> None:
        self.dest, self._size = dest, size
        self.run_id = ""
        self.hosts: dict[str, str] = {}
        self.ends: dict[str, dict[str, Any]] = {}
        self._written: dict[str, int] = {}

    def read(self, where: Path) -> None:
        """
        Read everything written so far.

        Raises:
            Refused: If it is not a story, or a node's logs are too large.
        """
        story = place.Story(where)
        try:
            while True:
                frames = story.more()
                for event, payload in frames:
                    self.take(event, payload)
                if not frames and not story.more_waits:
                    return
        except wire.WireError as error:
            raise Refused(f"the story of the run: {error}") from error

    def take(self, event: dict[str, Any], payload: bytes) -> None:
        """Take one event of the run."""
        kind, host, plan = event.get("event"), event.get("host"), event.get("plan")
        if kind in (events.PLANNED, events.RESTART) and plan:
            self.close()
            self.run_id, self.ends, self._written = plan["run_id"], {}, {}
            self.hosts = {node["host"]: str(node.get("run_dir") or "") for node in plan["nodes"] if _is_name(node)}
        elif host in self.hosts and kind == events.EXIT:
            self.ends[host] = {key: value for key, value in event.items() if key != "host"}
        elif host in self.hosts and kind == events.LOG and run_directory.LOG_NAME.fullmatch(str(event.get("log"))):
            self._write(host, event["log"], payload)

    def _write(self, host: str, log: str, payload: bytes) -> None:
        written = self._written[host] = self._written.get(host, 0) + len(payload)
        if written > self._size:
            raise Refused(f"{host}: it has more than {self._size} bytes of logs")
        directory = self._of(host)
        if written == len(payload):
            fetching.renew(str(directory))
        with open(directory / log, "ab") as stream:
            stream.write(payload)

    def _of(self, host: str) -> Path:
        return self.dest / f"{host}{_OUTPUT}"

    def left_of(self, host: str) -> int:
        """Return how many bytes are left for the other files of a node."""
        return self._size - self._written.get(host, 0)

    def move(self, host: str, partial: Path) -> None:
        """Add the logs of a node to the files that it kept; its own copies win, because the story may have gaps."""
        if host not in self._written:
            return
        logs = partial / run_directory.LOGS
        logs.mkdir(0o700, exist_ok=True)
        for path in self._of(host).iterdir():
            if not (logs / path.name).exists():
                path.rename(logs / path.name)

    def close(self) -> None:
        """Remove the temporary logs."""
        for host in self.hosts:
            shutil.rmtree(self._of(host), ignore_errors=True)


def _is_name(node: Mapping[str, Any]) -> bool:
    """Return whether the name of a node is safe as the name of a directory."""
    name = node["host"]
    return isinstance(name, str) and name not in ("", ".", "..") and os.sep not in name
