# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that look at all nodes and plan a launch."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts of documentation; the file's name is the fragment's."""

    DOCUMENTATION = r"""
options:
  run_id:
    description: Identity of the run; made where none is given.
    type: str
  work:
    description: >-
      The user's words: a script with its arguments, C(-m) and a module, C(python) with either, or a program;
      no launcher, unless O(shape=command).
    type: list
    elements: raw
    default: []
  shape:
    description: V(script) for ranks, V(command) for once a node, V(model) for models of madengine.
    type: str
    choices: [script, command, model]
    default: script
  tags:
    description: Tags of the models that madengine runs; O(work) are further words for it then.
    type: list
    elements: str
    default: []
  additional_context:
    description: madengine's additional context, as a mapping, as its own text, or as a list of such; later ones win.
    type: raw
    default: {}
  force_mirror_local:
    description: Where madengine mirrors data to; it must be on shared storage.
    type: str
  replace_containers:
    description: Containers of earlier runs to remove, by name; an empty name is every one that carries a run's id.
    type: list
    elements: str
    default: []
  runner:
    description: What starts the ranks; V(mpirun) needs the same MPI on all nodes, and no SSH between them.
    type: str
    choices: [torchrun, mpirun]
    default: torchrun
  mpirun:
    description: Absolute path of mpirun; by default one beside the job's Python, else the one on the search path.
    type: str
  mpi_args:
    description: More words for mpirun.
    type: list
    elements: str
    default: []
  allow_run_as_root:
    description: Whether root may run mpirun.
    type: bool
    default: false
  python:
    description: Absolute path of the job's Python.
    type: str
  python_required:
    description: Whether a node without that Python is an error.
    type: bool
    default: false
  nproc_per_node:
    description: Number of processes a node, V(auto) or V(gpu).
    type: str
    default: auto
  master_addr:
    description: Address of the first node to meet at.
    type: str
  master_port:
    description: Port to meet at, or V(auto).
    type: str
    default: "29500"
  interface:
    description: Name or network of the interface to use.
    type: str
  shared_paths:
    description: Paths that must be on shared storage.
    type: list
    elements: str
    default: []
  env:
    description: Variables for the job; a plan holds none of their values.
    type: dict
    default: {}
  chdir:
    description: Working directory of the job.
    type: str
  chdir_required:
    description: Whether a node without that directory is an error.
    type: bool
    default: false
  start_timeout:
    description: Seconds that nodes have to get ready.
    type: float
    default: 60
  skip:
    description: Checks to leave out.
    type: list
    elements: str
    default: []
  only:
    description: The only checks to run, beside those that a launch cannot do without.
    type: list
    elements: str
    default: []
  gpus:
    description:
      - What unequal numbers of GPUs mean; V(same) is an error, V(min) takes the smallest, V(per-node) each node's own.
    type: str
    choices: [same, min, per-node]
    default: same
  shared_fstypes:
    description: Types of file systems that count as shared beside the known ones.
    type: list
    elements: str
    default: []
  nnodes:
    description:
      - How many of the nodes take part, the first that nothing stands against; the others are spares. V(0) is all.
    type: int
    default: 0
  max_restarts:
    description: How often the run may be started anew on all nodes after it failed.
    type: int
    default: 0
  known_tags:
    description: Tags that the tasks of the playbook have; others on its command line are refused. Empty for any.
    type: list
    elements: str
    default: []
  net_tools_follow:
    description: Whether nodes without ifconfig, if nothing else is wrong, are listed instead of being an error.
    type: bool
    default: false
  write:
    description:
      - Whether a small file is written on shared storage for the proof, and removed after it; not in check mode.
    type: bool
    default: true
  event_socket:
    description: Path of a socket that gets the events instead of the screen.
    type: str
"""
