# SPDX-License-Identifier: Apache-2.0
"""The user's request, from the command line or a playbook. Pure; private to the collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, run_directory, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Own, Setup


@dataclass(frozen=True)
class Request:
    """The user's request; almost every field is an option of madctl and a variable of the roles."""

    run_id: str
    work: Tuple[Word, ...]
    shape: str = runners.shapes()[0]
    runner: str = runners.names()[0]
    mpirun: Optional[str] = None
    mpi_args: Tuple[str, ...] = ()
    allow_run_as_root: bool = False
    python: Optional[str] = None
    python_required: bool = False
    nproc_per_node: str = "auto"
    master_addr: Optional[str] = None
    master_port: str = "29500"
    interface: Optional[str] = None
    gpus: str = "same"
    shared_fstypes: Tuple[str, ...] = ()
    env: Dict[str, Word] = field(default_factory=dict)
    chdir: Optional[str] = None
    chdir_required: bool = False
    setup: str = ""
    login_shell: bool = False
    run_dir: Optional[str] = None
    start_timeout: float = 60.0
    skip: Tuple[str, ...] = ()
    only: Tuple[str, ...] = ()
    slots: Tuple[Optional[int], ...] = ()
    tags: Tuple[str, ...] = ()
    additional_context: Tuple[Dict[str, Any], ...] = ()  # later ones win
    force_mirror_local: Optional[str] = None
    replace_containers: Tuple[str, ...] = ()
    # The code that was sent to the nodes: the job then runs in its run's own copy, and ``chdir`` is below that.
    code: Optional[Dict[str, Any]] = None
    attempt: int = 0  # never an option
    own: Dict[str, Own] = field(default_factory=dict)  # by host

    def python_of(self, host: str) -> Optional[str]:
        """Return the requested Python for a host."""
        return self.own.get(host, {}).get("python") or self.python

    def interface_of(self, host: str) -> Optional[str]:
        """Return the requested interface or network for a host."""
        return self.own.get(host, {}).get("interface") or self.interface

    def env_of(self, host: str) -> Dict[str, Word]:
        """Return the user's variables for a host."""
        return {**self.env, **self.own.get(host, {}).get("env", {})}

    @property
    def node_setup(self) -> Optional[Setup]:
        """The setup that runs before the job on every node; None without one."""
        if not self.setup and not self.login_shell:
            return None
        return {"text": self.setup, "login": self.login_shell, "seconds": self.start_timeout}

    @property
    def attempt_variables(self) -> Dict[str, str]:
        """The variables that tell a job which attempt it is."""
        return dict.fromkeys((run_directory.ATTEMPT, run_directory.RESTARTS), str(self.attempt))

    @property
    def is_given(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.work or self.tags)

    def wants(self, check: str) -> bool:
        """Return whether a check is wanted; a check that a launch depends on always is."""
        if not catalog.applies(check, self.shape, self.runner):
            return False
        if check not in catalog.SKIPPABLE:
            return True
        return check not in self.skip and (not self.only or check in self.only)
