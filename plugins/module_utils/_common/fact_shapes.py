# SPDX-License-Identifier: Apache-2.0
"""
A node's facts as types for mypy and for readers; see ``shapes`` for all other data.

``fact_answers`` checks the same fields where they arrive, and a test compares the two. The fields ``hidden_by``,
``proven``, ``sent`` and ``received`` never come from a node. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, TypedDict


class Address(TypedDict):
    """An address of an interface, and the length of its network's prefix."""

    address: str
    prefix: int


class _InterfaceParts(TypedDict, total=False):
    vrf: bool
    rdma: bool
    kind: Optional[str]
    peer: Optional[str]


class Interface(_InterfaceParts):
    """What ifconfig and the kernel tell about a network device; ``lower`` are the devices below it."""

    name: str
    flags: List[str]
    addresses: List[Address]
    mtu: Optional[int]
    physical: bool
    bridge: bool
    bond: bool
    master: Optional[str]
    lower: List[str]


class Port(TypedDict):
    """The master port: why it cannot be used, which process has it, and a port that is free."""

    free: int
    error: Optional[str]
    holder: Optional[str]


class Limits(TypedDict):
    """Limits of the job in bytes and files; None is unlimited."""

    memlock: Optional[int]
    nofile: Optional[int]


class _FilesParts(TypedDict, total=False):
    entry_sha256: Optional[str]
    program_fault: Optional[str]


class Files(_FilesParts):
    """Whether the working directory and the first file of the work exist; None where none is needed."""

    chdir_exists: bool
    entry_exists: Optional[bool]


class _ReportParts(TypedDict, total=False):
    module: Optional[bool]
    packages: Dict[str, str]
    torch_build: Optional[Dict[str, str]]


class Report(_ReportParts):
    """What a Python reports; ``module`` is whether it finds the one to run."""

    torch: bool
    version: str


class Mpirun(TypedDict):
    """An mpirun: its path, and how it describes itself."""

    program: str
    text: str


class _PythonParts(TypedDict, total=False):
    wanted_report: Optional[Report]
    own_report: Optional[Report]
    mpi: Optional[Mpirun]


class Python(_PythonParts):
    """The wanted Python and the node's own, each with whether it exists and what it reports."""

    wanted: Optional[str]
    own: Optional[str]
    wanted_exists: bool
    own_exists: bool


class _HolderParts(TypedDict, total=False):
    gpus: List[int]


class Holder(_HolderParts):
    """A process that holds GPUs, which are given by their index on the node."""

    pid: int
    user: str
    command: str
    age_seconds: Optional[float]
    run_id: Optional[str]


class Denied(TypedDict):
    """A device that the user may not open; the ``group`` that may is None where the device is missing."""

    path: str
    group: Optional[str]


class _GpusParts(TypedDict, total=False):
    models: List[str]
    driver: Optional[str]
    holders: List[Holder]
    note: Optional[str]
    uuids: List[str]
    dead: List[str]
    denied: List[Denied]
    hidden_by: List[str]


class Gpus(_GpusParts):
    """A node's GPUs, or those that a job sees, with ``hidden_by``, the variables that hide the others."""

    vendor: Optional[str]
    count: int


class Space(TypedDict):
    """Free space in bytes where runs write; inodes are None where the file system has no limit."""

    run_base: str
    run_free: int
    run_inodes_free: Optional[int]
    run_writable: bool
    shm_free: Optional[int]


class Container(TypedDict):
    """A container that madengine made, and its run."""

    name: str
    created: Optional[str]
    run_id: Optional[str]


class _MadengineParts(TypedDict, total=False):
    silent: bool


class Madengine(_MadengineParts):
    """What ``docker.look`` finds: madengine, the container runtime, and errors of both."""

    program: Optional[str]
    version: Optional[str]
    broken: Optional[str]
    runtime: Optional[str]
    trouble: Optional[str]
    gpu_tool: Optional[str]
    containers: List[Container]


class Model(TypedDict):
    """A model's card; ``uses_runner`` is None where that is unknown."""

    name: str
    scripts: Optional[str]
    timeout: Optional[float]
    uses_runner: Optional[bool]


class Hung(TypedDict):
    """A child that missed its deadline: its process, its state, and where in the kernel it waits."""

    pid: int
    state: Optional[str]
    wait: Optional[str]


class _MountParts(TypedDict, total=False):
    fstype: str
    point: str
    root: str
    source: str
    options: List[str]
    super_options: List[str]
    real: str
    exists: bool
    access_error: Optional[str]
    access_errno: Optional[str]
    write_error: Optional[str]
    mark: Optional[str]
    file: Optional[str]
    nonce: str
    janitor: int
    writable: bool
    proven: bool


class Mount(_MountParts):
    """A shared path, as far as it could be inspected; ``proven`` comes from an earlier attempt of the run."""

    path: str
    read_only: bool
    hung: Optional[Hung]
    error: Optional[str]


class _TimesParts(TypedDict, total=False):
    sent: float
    received: float


class Times(_TimesParts):
    """When a probe began and ended, by the node's clock, and when it was sent and received, by ours."""

    begun: float
    ended: float


class _FactsParts(TypedDict, total=False):
    ifconfig_error: Optional[str]
    routes: Optional[List[Any]]
    visible: Dict[str, str]
    madengine: Optional[Madengine]
    models: Optional[List[Model]]
    trouble: Dict[str, Any]


class Facts(_FactsParts):
    """What ``node_facts`` returns of a node; None where it is unknown."""

    hostname: str
    machine_id: Optional[str]
    boot_id: Optional[str]
    kernel: str
    user_id: int
    group_id: int
    home: str
    interpreter: str
    ifconfig: Optional[str]
    interfaces: List[Interface]
    management_address: Optional[str]
    port: Port
    privileged_below: int
    limits: Limits
    files: Optional[Files]
    python: Optional[Python]
    names: Optional[List[str]]
    gpus: Gpus
    space: Optional[Space]
    nccl_files: Optional[Dict[str, str]]
    mpi: Optional[Mpirun]
    locked_by: Optional[str]
    mounts: List[Mount]
    time: Times


# Hosts with their facts, in rank order.
Nodes = Sequence[Tuple[str, Facts]]
