# SPDX-License-Identifier: Apache-2.0
"""
The data that travels between stages, as types: problems, what is to be proven, a plan, a spec; facts: ``fact_shapes``.

All of it is JSON. Types are for mypy and for readers alone: nodes never get these files, so what runs there imports
them under ``TYPE_CHECKING``. A key that may be missing stands in a base class with ``total=False``. Private to the
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
    """One finding, as ``codes.problem`` writes it, of a node or of none; a job's end has evidence."""

    code: str
    host: Optional[str]
    message: str
    remedy: Optional[str]


# -- the proof --------------------------------------------------------------------------------------


class _ReadingParts(TypedDict, total=False):
    otherwise: Problem


class Reading(_ReadingParts):
    """Files to read below a path, by the host that wrote them; ``otherwise`` is what is wrong if they are not there."""

    path: str
    names: Dict[str, str]


class Written(TypedDict):
    """A file that a node wrote for the proof, what is in it, and the process that removes it."""

    path: str
    file: str
    janitor: int
    nonce: str


class Listening(TypedDict):
    """Where the first node is to listen, 0 for any port, what it says there, and for how long."""

    address: str
    ports: List[int]
    token: str
    seconds: float


class _ConnectingParts(TypedDict, total=False):
    ports: List[int]


class Connecting(_ConnectingParts):
    """Where another node is to connect to, and from which of its addresses."""

    address: str
    source: str
    token: str


class Routing(TypedDict, total=False):
    """The devices by which packets from an address are to leave; empty where no question is asked."""

    source: str
    devices: List[str]
    to: List[str]


class _ProofParts(TypedDict, total=False):
    peers: List[str]
    listen: Listening
    connect: Optional[Connecting]
    routes: Routing


class Proof(_ProofParts):
    """What one node has to prove: see ``prove``."""

    read: List[Reading]
    written: List[Written]


# -- the plan ---------------------------------------------------------------------------------------


class ModelWork(TypedDict):
    """
    What a node's madengine gets, and what its results are judged by.

    ``replaced`` are containers that are removed before; ``many`` is whether there are other nodes, and ``skips``
    whether it writes no ``table``.
    """

    argv: List[Word]
    replaced: List[str]
    leads: bool
    many: bool
    version: Optional[int]
    table: str
    skips: bool


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
    A node's part of a plan; of a run that is known by its nodes alone only the keys that are never missing.

    ``argv`` is what its runner gets, and ``env`` beside the user's own. ``clock_offset`` is how many seconds the
    node's clock is ahead of the controller's. Under mpirun every node but the first has no ``argv``, since it starts
    what mpirun asks for; ``rank_argv`` is what each of its ranks executes, where a plan knows that, and ``python`` the
    job's. ``model`` is what a node's madengine gets.
    """

    host: str
    node_rank: int
    address: Optional[str]
    run_dir: str


class Restart(TypedDict):
    """What a restart needs to plan the run once more: the request without the user's environment, and all facts."""

    request: Dict[str, Any]
    facts: Dict[str, Facts]
    slots: Dict[str, Optional[int]]
    most: int


class _PlanParts(TypedDict, total=False):
    runner: str
    master_addr: str
    master_port: int
    start_timeout: float
    grace: float
    lock: bool
    beacon: Optional[str]
    work: List[Word]
    hostfile: str
    network: str
    proof: Dict[str, Proof]
    spares: List[str]
    restart: Optional[Restart]


class Plan(_PlanParts):
    """
    A launch; of a run that is known by its nodes alone only the keys that are never missing.

    ``beacon`` is shared storage for a failure, ``lock`` whether a node is for this run alone, ``network`` the job's in
    CIDR notation; ``spares`` are nodes that may take the place of others.
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


class ArmingRequest(NodePlan):
    """A node of the plan, what its runner needs there, and what all nodes share; see ``arming``."""

    run_id: str
    origin: str
    files: Dict[str, str]
    relay: Optional[Relay]
    after: Optional[str]
    lock: bool
    beacon: Optional[str]
    log_cap: int
    start_timeout: float
    timeout: Optional[float]
    grace: float
    proof: Proof
    user_env: Dict[str, Word]
    about: Dict[str, Any]
    programs: Dict[str, str]
    digest: str


class MpiSpec(Relay):
    """The same, with the address of every node by its name."""

    places: Dict[str, str]


class Spec(TypedDict):
    """All that a supervisor needs to know, which arming writes for it."""

    run_id: str
    origin: str
    node_rank: int
    cwd: str
    start_timeout: float
    timeout: Optional[float]
    grace: float
    beacon: Optional[str]
    log_cap: int
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
