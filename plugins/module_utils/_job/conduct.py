# SPDX-License-Identifier: Apache-2.0
"""
Conduct a launch inside a Slurm job, as a program on its first node: ``conduct DIRECTORY``.

The directory is on storage that all nodes share. It contains the request, and receives the story of the run and its
result, for followers on other machines. One srun starts an agent on every node, and these dial in to this program. It
ends with the exit code of the run. Private to the collection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import Any, Dict, Mapping, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, job_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._job import attempt, files, leaving, work
from ansible_collections.madctl.multinode.plugins.module_utils._job.agent_step import Step
from ansible_collections.madctl.multinode.plugins.module_utils._job.site import (
    Arguments,
    Arrivals,
    Result,
    Site,
    SiteError,
    Story,
)
from ansible_collections.madctl.multinode.plugins.module_utils._ways import slurm
from ansible_collections.madctl.multinode.plugins.module_utils._ways.dialled import Door

# After the order to end, the scheduler kills; this much of the time until then is reserved for records.
_RECORD_SECONDS = 5.0
# Containers do not end with a job, so they have to be removed before the kill: remains are signalled, then killed.
_CONTAINER_SECONDS = 8.0
_CANCEL_SECONDS = 60.0


class SlurmSite(Site):
    """A Slurm job."""

    order_seconds = job_directory.BEAT_SECONDS
    python = sys.executable

    def __init__(self, base: str) -> None:
        """
        Inspect the job.

        Args:
            base: Its directory.

        Raises:
            JobError: If this is not a job.
            RequestError: If there is no request.
        """
        self._base = base
        # The directory of this attempt; only the first one writes into the job's directory itself.
        self.place = job_directory.of_attempt(base, slurm.restarts(os.environ))
        self.job = slurm.job(os.environ)
        self.hosts = self.job.hosts
        self.given = files.take_request(base)
        self.config = slurm.show("config")
        self.samples = os.path.join(self.place, job_directory.KEPT)
        os.makedirs(self.samples, 0o700, exist_ok=True)

    @property
    def may_return(self) -> bool:
        """Whether Slurm may start the job again."""
        return bool(self.given.get("requeue"))

    def arguments(self, filled: Arguments) -> Arguments:
        """Return the arguments of this attempt, whose part of a node only this job uses."""
        return leaving.placed(attempt.arguments(filled, self.job.restarts), self.job.job_id)

    def story(self, log_cap: int) -> Story:
        """Begin the file of all events and output."""
        return files.Story(self.place, log_cap)

    def show(self, stage: str, shown: Mapping[str, Any]) -> None:
        """Write the state."""
        files.write(self.place, job_directory.STATE, {"stage": stage, "time": time.time(), **shown})

    def replan(self, plan: Mapping[str, Any]) -> None:
        """Write the plan of a restart."""
        files.write(self.place, job_directory.PLAN, dict(plan))

    def order(self) -> Optional[bytes]:
        """Read the order of the user."""
        return files.order(self._base)

    def door(self, loop: Loop) -> Door:
        """Listen on ports that nodes can dial: a site's firewall may let them reach no other ports."""
        ports = slurm.ports(self.config)
        try:
            return Door(loop, files.key(self._base), self.hosts, work.any_address(), ports)
        except OSError as error:
            message = "nodes cannot dial in to %s, ports %d to %d: %s"
            raise SiteError(message % (self.hosts[0], ports[0], ports[-1], error.strerror)) from error

    def arrivals(self, door: Door) -> Arrivals:
        """Return the srun that starts all agents."""
        return Step(self._base, door, len(self.hosts))

    def grace(self, seconds: float, has_models: bool) -> float:
        """Return the time that Slurm gives, minus the time for records and containers."""
        del seconds
        return slurm.kill_wait(self.config) - _RECORD_SECONDS - (_CONTAINER_SECONDS if has_models else 0.0)

    def leave(
        self, agents: Agents, base: str, result: Result, story: Story, is_ended: bool
    ) -> Optional[Dict[str, Any]]:
        """Have nodes save the files worth keeping to the shared storage, because others get the nodes next."""
        return leaving.leave(agents, self.place, base, result, story.whole, is_ended)

    def is_ending(self) -> bool:
        """Ask Slurm: on a busy first node, its signal arrives seconds after those on other nodes."""
        return slurm.is_ending(slurm.show("job", self.job.job_id))

    def has_returned(self) -> bool:
        """Return whether a job that Slurm ends may be requeued."""
        return not slurm.is_final(slurm.show("job", self.job.job_id))


def _cancel(job_id: str) -> None:
    """Have Slurm's accounting record that the job was cancelled; everything is written, and nothing is left to end."""
    # The signal may arrive before its program has ended, so it is held until it is waited for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    null = subprocess.DEVNULL
    with contextlib.suppress(OSError):
        subprocess.call(slurm.cancel(job_id), stdin=null, stdout=null, stderr=null)
        signal.sigtimedwait({signal.SIGTERM}, _CANCEL_SECONDS)


def main() -> None:
    """Conduct, write the result, and end with its exit code."""
    base = sys.argv[1]
    os.umask(0o077)
    site: Optional[SlurmSite] = None
    conducted: Optional[work.Work] = None
    try:
        site = SlurmSite(base)
        conducted = work.Work(site)
        result = conducted.run()
    except (files.RequestError, slurm.JobError, SiteError) as error:
        result = work.failed([codes.problem("NODE_NOT_READY", None, str(error))])
    except Exception as error:  # noqa: BLE001  followers must learn of it
        result = work.broken(error, "see job.log")
    place = job_directory.of_attempt(base, slurm.restarts(os.environ))
    os.makedirs(place, 0o700, exist_ok=True)
    by_scheduler = bool(result.get("by_scheduler"))
    if site and site.may_return and not by_scheduler:
        files.remove_request(base)  # Whoever reads the result may rely on that.
    files.write(place, job_directory.RESULT, result)
    if site and site.may_return and by_scheduler and not site.has_returned():
        files.remove_request(base)
    if site and conducted and conducted.is_ordered:
        _cancel(site.job.job_id)
    sys.exit(result["exit_code"])
