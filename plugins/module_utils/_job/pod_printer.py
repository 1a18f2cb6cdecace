# SPDX-License-Identifier: Apache-2.0
"""
Print the output of this pod's ranks, from the logs that their supervisor keeps, as the log of the pod.

It is a separate process, so that neither a supervisor nor a rank waits for the reader of the output. Private to the
collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
from typing import Any, Callable, Dict, List, Optional, Set

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, pod_log, pods, run_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.schema import fields
from ansible_collections.madctl.multinode.plugins.module_utils._runs import log_tail

_LOOK_SECONDS = 0.2
_BATCH_BYTES = 4096
_TOLD = ("outcome", "exit_code", "signal", "oom", "ranks_joined", "stopped", "reason", "time")

Write = Callable[[bytes], None]


class Printer:
    """Prints the runs of one pod, which follow each other if ranks are restarted."""

    def __init__(self, base: str, run_id: str, write: Write, record: Callable[[Dict[str, Any]], None]) -> None:
        """
        Prepare.

        Args:
            base: The directory of runs.
            run_id: The id of the first run; those of restarts have a number appended.
            write: Takes whole lines, at most 4,096 bytes at a time.
            record: Gets how each run ended on this node.
        """
        self._base, self._write, self._record = base, write, record
        self._name = re.compile(r"%s(?:\.(\d{1,6}))?" % re.escape(run_id), re.ASCII)
        self._done: Set[str] = set()

    def run(self) -> None:
        """Print until standard input ends, including all output that exists by then."""
        while True:
            # Read before the last look at the logs, so that all output up to the end is printed.
            is_over = bool(select.select([0], [], [], _LOOK_SECONDS)[0])
            for name in self._fresh():
                self._done.add(name)
                self._follow({"run_id": name, "run_dir": os.path.join(self._base, name)})
            if is_over:
                return

    def _follow(self, request: Dict[str, Any]) -> None:
        """Print one run to its end."""
        tail = log_tail.Tail({**request, "follow": True}, self._take)
        tail.run()
        if not tail.ended:
            # The end of standard input also ends it, and the data that came with that is still there.
            log_tail.Tail({**request, "follow": False, "offsets": tail.offsets, "seq": tail.seq}, self._take).run()

    def _fresh(self) -> List[str]:
        with contextlib.suppress(OSError):
            found = [match for match in map(self._name.fullmatch, os.listdir(self._base)) if match]
            names = [match[0] for match in sorted(found, key=lambda match: int(match[1] or 0))]
            return [name for name in names if name not in self._done and self._has_begun(name)]
        return []

    def _has_begun(self, name: str) -> bool:
        return os.path.exists(os.path.join(self._base, name, run_directory.EVENTS))

    def _take(self, frame: bytes) -> None:
        """Take one frame; the job can write into its directory as well, so its lengths are not trusted."""
        line, _, payload = frame.partition(b"\n")
        header = wire.parse_or_none(line) or {}
        known = events.TOLD_BY_NODES.get(header.get("event", ""))
        if known is None or not fields(known.required, known.optional)(header):
            return
        if header["event"] == events.LOG:
            self._print(list(pod_log.lines(header["log"], payload)))
        elif header["event"] == events.SKIPPED:
            self._print([pod_log.gap(header["log"], header["size"])])
        elif header["event"] == events.EXIT:
            self._record({name: header[name] for name in _TOLD if name in header})

    def _print(self, lines: List[bytes]) -> None:
        batch = b""
        for line in lines:
            if len(batch) + len(line) > _BATCH_BYTES:
                self._write(batch)
                batch = b""
            batch += line
        if batch:
            self._write(batch)


def to_all(*descriptors: int) -> Write:
    """Return a function that writes to all of these; if a copy cannot be written, only that copy suffers."""

    def write(data: bytes) -> None:
        for number, descriptor in enumerate(descriptors):
            try:
                rest = data
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:
                if not number:
                    raise

    return write


def copy_of(directory: Optional[str], name: str) -> List[int]:
    """Open a file on a volume that gets the same lines; None if that is not wanted or not possible."""
    if not directory:
        return []
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        path = os.path.join(directory, name + ".log")
        return [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)]
    except OSError as error:
        said = "madctl: %s: the output is not kept in %s: %s\n" % (name, directory, error.strerror)
        os.write(2, said.encode(errors="replace"))
        return []


def leave_word(about: Dict[str, Any], path: str = pods.TERMINATION_LOG) -> None:
    """Write the message that the cluster keeps after the end of a pod."""
    leave_text(json.dumps(about), path)


def leave_text(text: str, path: str = pods.TERMINATION_LOG) -> None:
    """Write a text to the file of that message."""
    data = text.encode(errors="replace")
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(data[: pods.TERMINATION_BYTES])
