# SPDX-License-Identifier: Apache-2.0
"""
The data between stages as types: problems, the proof, a plan, a spec; for facts see ``fact_shapes``.

All of it is JSON. Types are for mypy and for readers alone: nodes never get these files, so code that runs there
imports them under ``TYPE_CHECKING``. Keys that may be missing are in a base class with ``total=False``. Private to the
collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, TypedDict

from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word

# -- problems ---------------------------------------------------------------------------------------


class _Evidence(TypedDict, total=False):
    rank: Optional[int]
    exit_code: Optional[int]
    signal: Optional[int]
    error: Optional[str]


class Problem(_Evidence):
    """One problem, as ``codes.problem`` returns it, of a node or of the whole run; a job's end has evidence."""

    code: str
    host: Optional[str]
    message: str
    remedy: Optional[str]


# -- the proof --------------------------------------------------------------------------------------


class _ReadingParts(TypedDict, total=False):
    otherwise: Problem


class Reading(_ReadingParts):
    """Files to read below a path, by the host that wrote them; ``otherwise`` is the problem if they are missing."""

    path: str
    names: Dict[str, str]


class Written(TypedDict):
    """A file that a node wrote for the proof, its contents, and the process that will remove it."""

    path: str
    file: str
    janitor: int
    nonce: str


class Listening(TypedDict):
    """Where the first node listens, 0 for any port, what it sends there, and for how long."""

    address: str
    ports: List[int]
    token: str
    seconds: float


class _ConnectingParts(TypedDict, total=False):
    ports: List[int]


class Connecting(_ConnectingParts):
    """The address that another node connects to, and its own address for that."""

    address: str
    source: str
    token: str


class Routing(TypedDict, total=False):
    """The devices through which packets from an address should leave; empty if that is not checked."""

    source: str
    devices: List[str]
    to: List[str]


class _ProofParts(TypedDict, total=False):
    peers: List[str]
    listen: Listening
    connect: Optional[Connecting]
    routes: Routing


class Proof(_ProofParts):
    """What one node has to prove; see ``prove``."""

    read: List[Reading]
    written: List[Written]


# -- the plan ---------------------------------------------------------------------------------------


class ModelWork(TypedDict):
    """
    The work of a node's madengine, and how to judge its results.

    ``replaced`` are containers to remove first; ``many`` is whether there are other nodes, and ``skips`` whether
    it writes no ``table``. ``variables`` are what the script of a model gets; ``mpi_args`` and ``mpirun`` are for the
    one in its image.
    """

    argv: List[Word]
    replaced: List[str]
    leads: bool
    many: bool
    version: Optional[int]
    table: str
    skips: bool
    variables: Dict[str, str]
    mpi_args: List[Word]
    mpirun: Optional[str]


class _NodePlanParts(TypedDict, total=False):
    interface: str
    nproc_per_node: int
    cwd: str
    argv: List[Word]
    env: Dict[str, Word]
    clock_offset: float
    python: str
    rank_argv: Optional[List[Word]]
    model: Optional[ModelWork]


class NodePlan(_NodePlanParts):
    """
    A node's part of a plan; if only the nodes know the run, it has only the required keys.

    ``argv`` is the runner's command line, and ``env`` is added to the user's own. ``clock_offset`` is how many seconds
    the node's clock is ahead of the controller's. Under mpirun only the first node has ``argv``, because the others
    start what mpirun requests; ``rank_argv`` is what each of its ranks executes, if the plan knows that, and ``python``
    the job's Python. ``model`` is the work of a node's madengine.
    """

    host: str
    node_rank: int
    address: Optional[str]
    run_dir: str


class Restart(TypedDict):
    """What a restart needs to plan the run again: the request without the user's environment, and all facts."""

    request: Dict[str, Any]
    facts: Dict[str, Facts]
    slots: Dict[str, Optional[int]]
    most: int


class Own(TypedDict, total=False):
    """The parts of a request that differ for one host; its variables are added to those of all hosts."""

    python: str
    interface: str
    env: Dict[str, Word]


class Setup(TypedDict):
    """What runs in a shell on every node before anything starts, and how long it may take."""

    text: str
    login: bool
    seconds: float


class _PlanParts(TypedDict, total=False):
    runner: str
    master_addr: str
    master_port: int
    start_timeout: float
    grace: float
    lock: bool
    beacon: Optional[str]
    work: List[Word]
    setup: Optional[Setup]
    hostfile: str
    network: str
    proof: Dict[str, Proof]
    spares: List[str]
    restart: Optional[Restart]
    code: Optional[Dict[str, Any]]


class Plan(_PlanParts):
    """
    A launch; if only the nodes know the run, it has only the required keys.

    ``beacon`` is shared storage on which nodes announce failures, ``lock`` whether this run needs nodes to itself,
    ``network`` the job's in CIDR notation; ``spares`` are nodes that may replace others. ``code`` is what was sent for
    it: the ``tree``, where it comes from, and its commit.
    """

    run_id: str
    shape: str
    nnodes: int
    world_size: int
    nodes: List[NodePlan]


# -- on a node --------------------------------------------------------------------------------------


class Relay(TypedDict):
    """A node's part in starting daemons; see ``mpi_relay``."""

    key: str
    address: Optional[str]
    seconds: float
    leads: bool
    ranks: Optional[int]
    many: bool
    # Whether daemons run where the job's own scripts wait for them, in containers.
    hands: bool


class _OnEveryNode(TypedDict):
    # Whether a scheduler ends what the run leaves, so nothing may escape it, and its signals are not our orders.
    in_step: bool
    run_id: str
    origin: str
    start_timeout: float
    timeout: Optional[float]
    grace: float
    beacon: Optional[str]
    log_cap: int
    setup: Optional[Setup]
    # A file on storage that others see, for the latest sample of the run; see ``_node.samples``.
    samples: Optional[str]


class ArmingRequest(NodePlan, _OnEveryNode):
    """A node of the plan, what its runner needs there, and what all nodes share; see ``arming``."""

    files: Dict[str, str]
    relay: Optional[Relay]
    after: Optional[str]
    lock: bool
    proof: Proof
    user_env: Dict[str, Word]
    about: Dict[str, Any]
    programs: Dict[str, str]
    digest: str
    tree: Optional[str]
    trees: Optional[str]


class MpiSpec(Relay):
    """The same, with the address of every node by its name."""

    places: Dict[str, str]


class Spec(_OnEveryNode):
    """Everything that a supervisor needs to know; arming writes it."""

    node_rank: int
    cwd: str
    argv: List[str]
    env: Dict[str, str]
    lock: Optional[str]
    proof_janitors: List[int]
    boot_id: str
    oom_score: str
    py_spy: Optional[str]
    mpi: Optional[MpiSpec]
    after: Optional[List[str]]
    umask: int
    # The limits that the setup changed, by their names in the module resource.
    limits: Dict[str, List[int]]
