# SPDX-License-Identifier: Apache-2.0
"""The step of a job that consists of all its agents: started once, awaited at the end. Private to the collection."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from typing import Callable, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._job.site import Arrivals
from ansible_collections.madctl.multinode.plugins.module_utils._ways import slurm
from ansible_collections.madctl.multinode.plugins.module_utils._ways.dialled import Door

_TURN_SECONDS, _END_SECONDS = 0.2, 20.0
_SAID_BYTES = 1 << 16
# A node that does not see our programs reports that by itself; srun tells its exit code if the line is lost.
_UNSEEN = 66
_SEES = 'test -r "$0" || { echo "madctl: $SLURMD_NODENAME: cannot see $0" >&2; exit %d; }; exec "$@"' % _UNSEEN
_SAYS = re.compile(r"madctl: ([^\s:]+): (.+)")
_SHARE = "choose a directory that all nodes see: --run-root PATH"


class Step(Arrivals):
    """One srun; a context manager that ends it after the door of its agents was closed."""

    def __init__(self, place: str, door: Door, count: int) -> None:
        """
        Describe the step.

        Args:
            place: The job's directory, which has the agents' key, and receives the output of srun.
            count: The number of nodes.
        """
        super().__init__(door)
        self._place, self._count = place, count
        self._launcher = os.path.abspath(sys.argv[0])
        self._process: Optional[subprocess.Popen[bytes]] = None

    def __enter__(self) -> Step:
        key = os.path.join(self._place, job_directory.KEY)
        agent = [sys.executable, "-I", "-S", self._launcher, "_ways.slurm", str(self.door.address[1]), key]
        program = ["/bin/sh", "-c", _SEES, self._launcher, *agent]
        with open(os.path.join(self._place, job_directory.AGENTS_LOG), "ab") as log:
            self._process = subprocess.Popen(
                slurm.srun(self._count, program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=slurm.without(os.environ),
                # A signal to the batch script's group does not reach the step.
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self.door.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> List[codes.Problem]:
        """Wait until all agents have dialled in, and return why some did not."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while self.door.missing() and not is_over():
            has_ended = self._process.poll() is not None
            if has_ended or time.monotonic() >= deadline:
                return self._failures("its agent did not dial in within %g s" % seconds)
            self.door.loop.turn(_TURN_SECONDS)
        return []

    def _failures(self, otherwise: str) -> List[codes.Problem]:
        """Blame the nodes that reported a problem, or whose agent ended; if there are none, all that are missing."""
        missing, lines = self.door.missing(), self._said()
        causes = {host: self._cause(code) for host, code in slurm.exits(lines).items()}
        causes.update({said[1]: said[2] for said in map(_SAYS.fullmatch, lines) if said})
        own = {host: why for host, why in causes.items() if host in missing}
        see = "see %s" % os.path.join(self._place, job_directory.AGENTS_LOG)
        if own:
            remedies = {host: _SHARE if why.startswith("cannot see ") else see for host, why in own.items()}
            return [codes.problem("NODE_NOT_READY", host, why, remedies[host]) for host, why in own.items()]
        why = lines[-1] if lines else otherwise
        return [codes.problem("NODE_NOT_READY", host, why, see) for host in missing]

    def _cause(self, code: int) -> str:
        return "cannot see %s" % self._launcher if code == _UNSEEN else "its agent ended with exit code %d" % code

    def _said(self) -> List[str]:
        """Return the last lines that agents and srun printed."""
        with contextlib.suppress(OSError), open(os.path.join(self._place, job_directory.AGENTS_LOG), "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - _SAID_BYTES))
            return [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        return []
