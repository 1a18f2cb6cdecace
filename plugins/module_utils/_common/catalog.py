# SPDX-License-Identifier: Apache-2.0
"""
Every check before a start: what it inspects, its cost and its codes. Data only; private to the collection.

Judges look up here which check a code belongs to, whether it is an error, and its remedy. The reference page of checks
is generated from this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Dict, FrozenSet, Optional, Tuple

ERROR, WARNING = "error", "warning"
NO_HINT = "log in there"


@dataclass(frozen=True)
class Finding:
    """
    One thing that a check can find; ``remedy`` is the default, which a judge may replace.

    ``{hint}`` is replaced by how to inspect a node by hand, which depends on the way to it. Codes that only a way finds
    have their remedies there. ``needs_all`` is whether the finding can be judged only if no node is missing.
    """

    level: str
    code: str
    meaning: str
    remedy: Optional[str] = None
    needs_all: bool = False


@dataclass(frozen=True)
class Check:
    """
    One column of the table; a check that a launch depends on is not skippable.

    ``only_for`` names the runner or the shape of work that the check is limited to. ``needs`` names the request's
    shared paths and the parts of the proof that the check reports on; a node must have at least one of them. ``{way}``
    is replaced by what the way to a node goes through.
    """

    name: str
    looks_at: str
    cost: str
    findings: Tuple[Finding, ...]
    skippable: bool = True
    only_for: Optional[str] = None
    needs: Tuple[str, ...] = ()


_error = partial(Finding, ERROR)
_group = partial(Finding, ERROR, needs_all=True)
_warning = partial(Finding, WARNING)

_MOUNT_IT = "mount it there; madctl never creates it"
_OPEN_PORTS = "open the ports between nodes"
_SAME = "install the same version"
_NOT_FIRST = "The job would use the network that SSH uses, because another card is down or missing."
_OWN_WORLDS = "A model's script does not mention the runner: each node would run a world of its own."

CHECKS = (
    Check(
        "reach",
        "{way}, and a Python for the probe",
        "the handshake that a launch needs anyway",
        (
            _error("HOST_UNREACHABLE", "The node does not answer."),
            _error("HOST_UNRESOLVED", "The node's name does not resolve."),
            _error("HOST_KEY_UNKNOWN", "The node's host key is not known yet."),
            _error("HOST_KEY_CHANGED", "The node's host key differs from the known one."),
            _error("AUTHENTICATION_FAILED", "The node accepts none of your keys."),
            _error("PROBE_FAILED", "The node could not be inspected.", "to see the error: {hint}"),
            _error(
                "SETUP_FAILED",
                "The text of --setup fails, or takes longer than --start-timeout.",
                "try it there by hand, with bash -c",
            ),
            _error("PROBE_MALFORMED", "The node's answer is not that of a probe.", "check its python3: {hint}"),
            _error(
                "SYNC_FAILED",
                "The code of --sync could not be stored on the node.",
                "free space there, or --run-dir PATH",
            ),
            _warning("NODE_REPLACED", "The node failed a check, and there are spares.", "fix the node or exclude it"),
        ),
        skippable=False,
    ),
    Check(
        "machine",
        "machine id and boot id; the lock that a run holds on its node",
        "two files and one lock",
        (
            _error("DUPLICATE_MACHINE", "Two names are the same machine.", "name each machine once"),
            _error("NODE_BUSY", "Another run uses the node.", "wait for it, stop it, or --skip machine"),
        ),
    ),
    Check(
        "network",
        "ifconfig, the kernel's devices and routes: which card reaches all nodes, and its MTU",
        "one ifconfig, one netlink socket",
        (
            _error("NET_TOOLS_MISSING", "ifconfig is not installed.", "let launch install net-tools"),
            _error("IFCONFIG_UNREADABLE", "The output of ifconfig has no known format.", "install net-tools"),
            _group("NO_COMMON_NETWORK", "No network is common to all nodes.", "choose one with --interface"),
            _group("NETWORK_MISSING", "The node is not in a network of most nodes.", "bring it up, or --interface"),
            _error("ADDRESS_TWICE", "Another node has the same address.", "give each node its own address"),
            _group("INTERFACE_AMBIGUOUS", "Several interfaces qualify.", "choose one: --interface NAME or CIDR"),
            _error("INTERFACE_UNKNOWN", "No interface matches --interface."),
            _error("INTERFACE_DOWN", "The interface of --interface is down or has no carrier.", "bring it up"),
            _group("FAMILY_MIXED", "Some nodes have only IPv4, others only IPv6.", "use one family on all nodes"),
            _error("MASTER_ADDR_UNKNOWN", "--master-addr is not a usable address of the first node."),
            _warning("MANAGEMENT_NETWORK", _NOT_FIRST, "bring it up, or confirm the network with --interface"),
            _warning("CARDS_DIFFER", "--interface matches a different number of cards.", "bring the others up"),
            _warning("MTU_DIFFERS", "The chosen interfaces have different MTUs.", "set the same MTU everywhere"),
            _warning("NCCL_CONF", "An NCCL configuration file excludes the chosen interface.", "remove that line"),
        ),
        skippable=False,
    ),
    Check(
        "port",
        "the master port on the first node: whether it is free, and allowed for this user",
        "one bind",
        (
            _error("PORT_IN_USE", "The master port is in use.", "choose another --master-port, or auto"),
            _error("PORT_PRIVILEGED", "The master port needs root.", "choose a --master-port of 1024 or more"),
            _error("PORT_UNUSABLE", "The master port cannot be used.", "choose another --master-port"),
        ),
    ),
    Check(
        "names",
        "what a node's own name and its peers' names resolve to",
        "one look-up per name",
        (
            _warning(
                "NAME_IS_LOOPBACK",
                "The node's own name resolves to loopback; software that binds to its own name talks to itself.",
                "map the name to the node's address in /etc/hosts",
            ),
            _error(
                "PEER_IS_LOOPBACK",
                "Another node's name resolves to loopback on this node.",
                "fix /etc/hosts there; madctl itself uses addresses only: --skip names",
            ),
        ),
    ),
    Check(
        "storage",
        "each --shared-path: its mount, then a file that each node writes and others read; a path where all pass is "
        "shared, whatever its type; where nothing can be written (one node, PATH:ro), a local type is an error",
        "per path a child process with 5 s to answer, per node one small file",
        (
            _error("MOUNT_MISSING", "The path does not exist.", _MOUNT_IT),
            _error("MOUNT_NOT_SHARED", "A local directory of the same name, which other nodes do not see.", _MOUNT_IT),
            _error("MOUNT_IS_BIND", "A local directory is bound to the path, which other nodes do not see.", _MOUNT_IT),
            _error("MOUNT_HUNG", "The path does not answer.", "check the file server and the network to it"),
            _error("MOUNT_STALE", "The file server no longer knows the mount.", "umount -l it and mount it again"),
            _error("MOUNT_UNREADABLE", "The path is not readable.", "check the mount and its permissions"),
            _error("MOUNT_READ_ONLY", "The path is read-only.", "mount it rw, or --shared-path PATH:ro"),
            _error("MOUNT_UNWRITABLE", "The path is not writable.", "check permissions, quota, root_squash"),
            _error("STORAGE_DIFFERS", "The node sees different files than the others.", "mount the same export"),
            _error("STORAGE_UNPROVEN", "The proof's files could not be compared.", "retry"),
            _warning("STORAGE_UNTRIED", "Local on every node; a dry run cannot prove whether they share it."),
            _warning("EXPORT_DIFFERS", "The same files under another server or export name."),
            _warning("STORAGE_TYPE_DIFFERS", "The same files through another type of file system."),
        ),
        needs=("shared_paths",),
    ),
    Check(
        "gpus",
        "number, model, driver, and processes that use them",
        "the kernel's own files; a vendor's tool only where those are missing",
        (
            _warning("NO_GPU", "No GPU on any node: 1 process per node."),
            _error("GPU_MISSING", "--nproc-per-node gpu, and no GPU was found.", "check the driver"),
            _group("GPU_COUNT_DIFFERS", "Nodes have different numbers of GPUs.", "fix or exclude it, or --gpus min"),
            _error("GPU_TOO_FEW", "Fewer GPUs than processes.", "fix or exclude the node, or start fewer processes"),
            _error("GPU_DEAD", "A GPU does not answer its driver.", "reset it, or reboot the node"),
            _error("GPU_FORBIDDEN", "The user may not open the GPUs.", "add the user to the group of the device"),
            _error("GPU_TOOL_FAILED", "A vendor's tool fails: GPUs are not counted.", "run it there, or --skip gpus"),
            _error("GPU_VENDOR_DIFFERS", "GPUs of different vendors.", "launch on nodes of one vendor"),
            _error("GPU_DRIVER_DIFFERS", "Different driver versions.", "install the same driver"),
            _warning("GPU_MODEL_DIFFERS", "Different GPU models: the slowest decides."),
            _error("GPU_BUSY", "A process uses GPUs.", "wait for it or end it on the node"),
            _warning("GPU_MIXED", "Different GPU models in one node: the slowest decides."),
            _warning("GPU_DISPLAY", "A display, a desktop or a monitoring tool has GPUs open."),
            _warning("GPU_UNKNOWN", "A vendor's tool reported errors."),
            _group("SLOTS_DIFFER", "A host list gives nodes different numbers of slots.", "use the same everywhere"),
        ),
    ),
    Check(
        "python",
        "the job's Python and its torch",
        "one start of that Python, without importing torch",
        (
            _error("PYTHON_MISSING", "Python not found.", "install it, or choose one with --python"),
            _error("TORCH_MISSING", "torch is not installed for the job's Python.", "install torch there"),
            _warning("PYTHON_DIFFERS", "Each node uses its own Python.", "choose one with --python"),
        ),
    ),
    Check(
        "mpi",
        "mpirun: kind, version and path, the same on all nodes; only with --runner mpirun",
        "one mpirun --version, which is needed anyway",
        (
            _error("MPI_MISSING", "mpirun not found.", "install openmpi-bin or mpich there, or --mpirun PATH"),
            _error("MPI_UNSUPPORTED", "Neither Open MPI nor MPICH.", "choose one of them: --mpirun PATH"),
            _error("MPI_MIXED", "A different MPI than on most nodes.", "install the same version at the same path"),
            _error("MPI_AS_ROOT", "mpirun would run as root.", "log in as a user, or --allow-run-as-root"),
            _error("MPI_PATH_DIFFERS", "A path differs between nodes, or mpirun does not accept it."),
            _error("MPI_ADDRESS_FAMILY", "mpirun needs IPv4 addresses.", "choose a network: --interface CIDR"),
            _error("MPI_ARGS_RESERVED", "--mpi-args sets the number of ranks, or where they run.", "leave it out"),
            _warning("MPI_UNTRIED", "A version of that MPI that madctl is not tested with."),
        ),
        skippable=False,
        only_for="mpirun",
    ),
    Check(
        "madengine",
        "madengine and its version, docker, a vendor's tool, leftover containers, scripts of models; only with --tags",
        "two starts of docker, and one of madengine if no file next to it has its version",
        (
            _error("MADENGINE_MISSING", "madengine not found.", "install it next to the job's Python"),
            _error("MADENGINE_BROKEN", "madengine does not start.", "reinstall it"),
            _error("MADENGINE_MIXED", "A different version than on most nodes.", _SAME),
            _error("MADENGINE_HUNG", "madengine or docker does not answer.", "see what hangs there: docker ps"),
            _warning("MADENGINE_UNKNOWN", "The version is not known: it gets the context and the environment."),
            _warning("MODEL_ALONE", _OWN_WORLDS, "start its ranks with $MAD_MULTI_NODE_RUNNER"),
            _error("RUNTIME_MISSING", "docker not found; madengine calls it.", "install docker or podman-docker"),
            _error("RUNTIME_UNUSABLE", "This user cannot use docker.", "to see the error: docker ps"),
            _error("GPU_TOOL_MISSING", "No GPU vendor's tool found; madengine needs one.", "install those tools"),
            _error("CONTAINER_LEFT", "A leftover container has a name that madengine needs.", "--replace-containers"),
        ),
        only_for="model",
    ),
    Check(
        "context",
        "--additional-context, --force-mirror-local and --runner for models; only with --tags",
        "nothing",
        (
            _warning("CONTEXT_REPLACED", "The context names ranks, which madctl sets."),
            _warning("CONTEXT_KEPT", "The context sets what madctl would have chosen, and wins."),
            _error("CONTEXT_UNSAFE", "madengine 1 would paste it into a shell line.", "change it, or use madengine 2"),
            _error("MIRROR_UNPROVEN", "--force-mirror-local is on unchecked storage.", "do not skip the check storage"),
        ),
        skippable=False,
        only_for="model",
    ),
    Check(
        "entry",
        "the script and its bytes, the program and whether it can be executed, the module, the working directory",
        "one read of the script; the start of Python that the check python needs finds the module",
        (
            _error(
                "ENTRY_MISSING",
                "Script, program or module not found.",
                "put it where every node has it, or send it: --sync DIR",
            ),
            _error("ENTRY_UNUSABLE", "The node cannot execute the program.", "chmod +x it, or write: bash FILE"),
            _error("ENTRY_DIFFERS", "The script differs on this node.", "copy the right one there"),
            _error("ENTRY_HUNG", "The directory of the script does not answer.", "check the file server"),
            _error(
                "CHDIR_MISSING",
                "The directory of --chdir is not on the node.",
                "create it, choose another, or send it: --sync DIR",
            ),
            _warning("SYNC_LEFT_OUT", "Sockets, pipes and devices in the directory of --sync are not sent."),
            _warning("CHDIR_HOME", "The working directory is not on every node: the home directory is used."),
        ),
    ),
    Check(
        "versions",
        "Python, torch, CUDA or ROCm, NCCL, MPI, madengine, kernel, user and group",
        "nothing beyond the check python",
        (
            _error("TORCH_DIFFERS", "A different torch, or one built for a different CUDA or ROCm.", _SAME),
            _error("NCCL_DIFFERS", "A different NCCL version.", _SAME),
            _error("USER_DIFFERS", "A different user or group number, with shared storage.", "use the same number"),
            _warning("USER_NUMBER_DIFFERS", "A different user or group number."),
            _warning("PYTHON_VERSION_DIFFERS", "A different Python version."),
            _warning("PACKAGE_DIFFERS", "A different version of numpy, mpi4py or madengine."),
            _warning("MPI_DIFFERS", "A different MPI."),
            _warning("KERNEL_DIFFERS", "A different kernel."),
        ),
    ),
    Check(
        "limits",
        "memlock and open files as the job gets them; space for logs and in /dev/shm",
        "a few system calls",
        (
            _error("DISK_FULL", "No space for logs in the run directory.", "free some, or choose --run-dir"),
            _error("RUN_DIR_UNWRITABLE", "Run directories cannot be created.", "choose another --run-dir"),
            _warning("DISK_LOW", "Less than 1 GiB for logs."),
            _warning("SHM_LOW", "Less than 1 GiB in /dev/shm; data loaders and NCCL need it.", "enlarge /dev/shm"),
            _warning("MEMLOCK_LOW", "Locked memory is limited; RDMA needs it.", "set memlock unlimited"),
            _warning("NOFILE_LOW", "Fewer than 4096 open files.", "raise nofile"),
        ),
    ),
    Check(
        "clock",
        "the node's clock against this machine's, within the time of the round trip",
        "nothing",
        (
            _error("CLOCK_SKEWED", "More than 30 s off.", "synchronise clocks"),
            _warning("CLOCK_OFFSET", "More than 1 s off.", "synchronise clocks"),
        ),
    ),
    Check(
        "proof",
        "every node connects to the first on the master port and on a random one, from its own address; by which "
        "device the kernel reaches every other node",
        "one Python start per node",
        (
            _error("CONNECT_REFUSED", "The first node refuses: a firewall that rejects.", _OPEN_PORTS),
            _error("CONNECT_FILTERED", "No answer: a firewall that drops.", _OPEN_PORTS),
            _error("CONNECT_NO_ROUTE", "No route to the first node's address.", "check routes, or --interface"),
            _error("ROUTE_ELSEWHERE", "Another node is reached over another device.", "fix the route"),
            _error("CONNECT_ELSEWHERE", "Another machine answers at that address.", "give each node its own address"),
            _error("CONNECT_FAILED", "The connection failed in another way."),
            _error("PROOF_FAILED", "The node did not finish the proof, or proved only part of it.", "retry"),
        ),
        needs=("listen", "connect"),
    ),
)

_FINDINGS: Dict[str, Finding] = {finding.code: finding for check in CHECKS for finding in check.findings}
CHECK_OF: Dict[str, str] = {finding.code: check.name for check in CHECKS for finding in check.findings}
NAMES: Tuple[str, ...] = tuple(check.name for check in CHECKS)
NEEDS_ALL: FrozenSet[str] = frozenset(code for code, finding in _FINDINGS.items() if finding.needs_all)
ONLY_FOR: Dict[str, str] = {check.name: check.only_for for check in CHECKS if check.only_for}
SKIPPABLE: FrozenSet[str] = frozenset(check.name for check in CHECKS if check.skippable)


def applies(check: str, shape: str, runner: str) -> bool:
    """Return whether a check applies to work of a shape under a runner."""
    return ONLY_FOR.get(check, shape) in (shape, runner)


def remedy_of(code: str, hint: Optional[str] = None) -> Optional[str]:
    """Return the default remedy of a code, or None; ``hint`` is that of the way to the node."""
    remedy = _FINDINGS[code].remedy if code in _FINDINGS else None
    return remedy.replace("{hint}", hint or NO_HINT) if remedy else None


def is_warning(code: str) -> bool:
    """Return whether a code does not prevent a launch."""
    return code in _FINDINGS and _FINDINGS[code].level == WARNING
