# SPDX-License-Identifier: Apache-2.0
"""
A node's facts as types for mypy and for readers; see ``shapes`` for all other data.

``fact_answers`` reads these types to check facts where they arrive. The fields ``hidden_by``, ``proven``, ``sent`` and
``received`` never come from a node. Private to the collection.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, TypedDict

# Types whose values are bounded more closely than others, or checked by a rule; ``fact_answers`` has bounds and rules.
Name = str  # of a user, a device, a GPU, …
Path = str
Variable = str  # the value of an environment variable
File = str  # the text of a small file
ProofFile = str
Ip = str
Id = int  # of a process, a user or a group
Pid = int
Index = int  # of a GPU, or how many there are
Bytes = int
Limit = int  # in bytes or files; -1 is unlimited, too
PortNumber = int
Prefix = int
Mtu = int
Second = float  # of a clock
Number = float
Devices = List["Interface"]
Words = List[str]
Addresses = List["Address"]
Route = List[Any]


class Address(TypedDict):
    """An address of an interface, and the length of its network's prefix."""

    address: Ip
    prefix: Prefix


class Interface(TypedDict):
    """What ifconfig and the kernel report about a network device; ``lower`` are the devices below it."""

    name: Name
    flags: List[Name]
    addresses: Addresses
    mtu: Optional[Mtu]
    physical: bool
    bridge: bool
    bond: bool
    master: Optional[Name]
    lower: List[Name]
    vrf: bool
    rdma: bool
    kind: Optional[Name]
    peer: Optional[Name]


class Port(TypedDict):
    """The master port: why it cannot be used, which process has it, and a port that is free."""

    free: PortNumber
    error: Optional[str]
    holder: Optional[str]


class Limits(TypedDict):
    """Limits of the job in bytes and files; None is unlimited."""

    memlock: Optional[Limit]
    nofile: Optional[Limit]


class Files(TypedDict):
    """Whether the working directory and the first file of the work exist; None if none is needed."""

    chdir_exists: bool
    entry_exists: Optional[bool]
    entry_sha256: Optional[Name]
    program_fault: Optional[str]


class _ReportParts(TypedDict, total=False):
    module: Optional[bool]
    packages: Dict[str, str]
    torch_build: Optional[Dict[str, str]]


class Report(_ReportParts):
    """What a Python reports; ``module`` is whether it finds the module to run."""

    torch: bool
    version: Name


class Mpirun(TypedDict):
    """An mpirun: its path, and how it describes itself."""

    program: Path
    text: str


class Python(TypedDict):
    """The wanted Python and the node's own, each with whether it exists and what it reports."""

    wanted: Optional[Path]
    own: Optional[Path]
    wanted_exists: bool
    own_exists: bool
    wanted_report: Optional[Report]
    own_report: Optional[Report]
    mpi: Optional[Mpirun]


class Holder(TypedDict):
    """A process that holds GPUs, which are listed by their index on the node."""

    pid: Id
    user: Name
    command: str
    age_seconds: Optional[Number]
    run_id: Optional[str]
    gpus: List[Index]


class Denied(TypedDict):
    """A device that the user may not open; the ``group`` that may is None if the device is missing."""

    path: str
    group: Optional[Name]


class _GpusParts(TypedDict, total=False):
    models: List[Name]
    driver: Optional[Name]
    holders: List[Holder]
    note: Optional[str]
    uuids: List[Name]
    dead: List[str]
    denied: List[Denied]
    hidden_by: List[str]


class Gpus(_GpusParts):
    """A node's GPUs, or those that a job sees, with ``hidden_by``, the variables that hide the others."""

    vendor: Optional[Name]
    count: Index


class Space(TypedDict):
    """Free space in bytes where runs write; inodes are None if the file system has no limit."""

    run_base: Path
    run_free: Bytes
    run_inodes_free: Optional[Bytes]
    run_writable: bool
    shm_free: Optional[Bytes]


class Container(TypedDict):
    """A container that madengine made, and its run."""

    name: str
    created: Optional[str]
    run_id: Optional[str]


class Madengine(TypedDict):
    """What ``docker.look`` finds: madengine, the container runtime, and the errors of both."""

    program: Optional[Variable]
    version: Optional[Variable]
    broken: Optional[Variable]
    runtime: Optional[Variable]
    trouble: Optional[Variable]
    gpu_tool: Optional[Variable]
    containers: List[Container]
    silent: bool


class Model(TypedDict):
    """A model's card; ``uses_runner`` is None if unknown."""

    name: Name
    scripts: Optional[str]
    timeout: Optional[Number]
    uses_runner: Optional[bool]


class Hung(TypedDict):
    """A child that missed its deadline: its process, its state, and where in the kernel it waits."""

    pid: Id
    state: Optional[Name]
    wait: Optional[str]


class _MountParts(TypedDict, total=False):
    fstype: Name
    point: Path
    root: Path
    source: Path
    options: Words
    super_options: Words
    real: Path
    exists: bool
    access_error: Optional[str]
    access_errno: Optional[str]
    write_error: Optional[str]
    mark: Optional[str]
    file: Optional[ProofFile]
    nonce: Name
    janitor: Pid
    proven: bool


class Mount(_MountParts):
    """A shared path, as far as it could be inspected; ``proven`` comes from an earlier attempt of the run."""

    path: Path
    read_only: bool
    hung: Optional[Hung]
    error: Optional[Variable]


class _TimesParts(TypedDict, total=False):
    sent: Second
    received: Second


class Times(_TimesParts):
    """When a probe began and ended, by the node's clock, and when it was sent and received, by ours."""

    begun: Second
    ended: Second


class _FactsParts(TypedDict, total=False):
    ifconfig_error: Optional[str]
    routes: Optional[List[Route]]
    visible: Dict[str, Variable]
    madengine: Optional[Madengine]
    models: Optional[List[Model]]
    trouble: Dict[str, Any]


class Facts(_FactsParts):
    """What ``node_facts`` returns for a node; None for unknown facts."""

    hostname: Name
    machine_id: Optional[Name]
    boot_id: Optional[Name]
    kernel: Name
    user_id: Id
    group_id: Id
    home: Path
    interpreter: Path
    ifconfig: Optional[Path]
    interfaces: Devices
    management_address: Optional[Ip]
    port: Port
    privileged_below: PortNumber
    limits: Limits
    files: Optional[Files]
    python: Optional[Python]
    names: Optional[List[Name]]
    gpus: Gpus
    space: Optional[Space]
    nccl_files: Optional[Dict[str, File]]
    mpi: Optional[Mpirun]
    locked_by: Optional[str]
    mounts: List[Mount]
    time: Times


# Hosts with their facts, in rank order.
Nodes = Sequence[Tuple[str, Facts]]
