# SPDX-License-Identifier: Apache-2.0
"""
Every check before a start: what it looks at, what it costs, its codes. Data only; private to the collection.

The judges look up here which check a code belongs to, whether it is an error, and its remedy; the
reference page of checks is written from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, Optional, Tuple

ERROR, WARNING = "error", "warning"
NO_HINT = "log in there"


@dataclass(frozen=True)
class Finding:
    """
    One thing that a check can find; ``remedy`` is the default, a judge may know better.

    ``{hint}`` stands for how to look at a node by hand, which the way to it knows. Codes that a way alone finds have
    their remedies there.
    """

    code: str
    level: str
    meaning: str
    remedy: Optional[str] = None
    needs_all: bool = False


@dataclass(frozen=True)
class Check:
    """
    One column of the table; what a launch cannot do without is not skippable.

    ``only_for`` names the runner or the shape of work without which there is nothing to check. ``{way}`` stands for
    what the way to a node goes through.
    """

    name: str
    looks_at: str
    cost: str
    findings: Tuple[Finding, ...]
    skippable: bool = True
    only_for: Optional[str] = None
    needs: Tuple[str, ...] = ()


def _error(code: str, meaning: str, remedy: Optional[str] = None, needs_all: bool = False) -> Finding:
    return Finding(code, ERROR, meaning, remedy, needs_all)


def _warning(code: str, meaning: str, remedy: Optional[str] = None) -> Finding:
    return Finding(code, WARNING, meaning, remedy)


_MOUNT_IT = "mount it there; madctl never creates it"

CHECKS = (
    Check(
        "reach",
        "{way}, a Python to look with",
        "the handshake that a launch needs anyway",
        (
            _error("HOST_UNREACHABLE", "The node does not answer."),
            _error("HOST_UNRESOLVED", "The node's name does not resolve."),
            _error("HOST_KEY_UNKNOWN", "The node's host key was never seen."),
            _error("HOST_KEY_CHANGED", "The node's host key is not the known one."),
            _error("AUTHENTICATION_FAILED", "The node accepts none of your keys."),
            _error("PROBE_FAILED", "The node could not be looked at.", "see what it says: {hint}"),
            _error("PROBE_MALFORMED", "The node's answer is not one of the probe.", "see what its python3 is: {hint}"),
            _warning("NODE_REPLACED", "The node failed a check, and there are spares.", "mend it, or leave it out"),
        ),
        skippable=False,
    ),
    Check(
        "machine",
        "machine id and boot id; the lock that a run holds on its node",
        "two files and one lock",
        (
            _error("DUPLICATE_MACHINE", "Two names are the same machine.", "name every machine once"),
            _error("NODE_BUSY", "Another run holds the node.", "wait for it, stop it, or --skip machine"),
        ),
    ),
    Check(
        "network",
        "ifconfig, the kernel's devices and routes: which card carries the training and reaches all nodes, its MTU",
        "one ifconfig, one netlink socket",
        (
            _error("NET_TOOLS_MISSING", "ifconfig is not installed.", "let launch install net-tools"),
            _error(
                "IFCONFIG_UNREADABLE",
                "What ifconfig prints is not what a known one prints.",
                "install net-tools, or remove the other ifconfig from the PATH",
            ),
            _error(
                "NO_COMMON_NETWORK", "No network is common to all nodes.", "choose one with --interface", needs_all=True
            ),
            _error(
                "NETWORK_MISSING", "Most nodes are in a network, this one is not.", "bring it up, or --interface", True
            ),
            _error("ADDRESS_TWICE", "Another node has the same address.", "give every node its own address"),
            _error("INTERFACE_AMBIGUOUS", "Several interfaces qualify.", "choose one: --interface NAME or CIDR", True),
            _error("INTERFACE_UNKNOWN", "No interface matches --interface."),
            _error("INTERFACE_DOWN", "What --interface asks for is down, or has no carrier.", "bring it up"),
            _error("FAMILY_MIXED", "Some nodes have only IPv4, others only IPv6.", "give all nodes one family", True),
            _error("MASTER_ADDR_UNKNOWN", "--master-addr is no usable address of the first node."),
            _warning(
                "MANAGEMENT_NETWORK",
                "The job uses the network that SSH comes in by, and a card for another is down or missing.",
                "bring it up, or say that it is meant: --interface",
            ),
            _warning("CARDS_DIFFER", "--interface matches another number of cards.", "bring the others up"),
            _warning("MTU_DIFFERS", "The chosen interfaces have different MTUs.", "set the same MTU everywhere"),
            _warning("NCCL_CONF", "An NCCL configuration file excludes the chosen interface.", "remove that line"),
        ),
        skippable=False,
    ),
    Check(
        "port",
        "the master port on the first node: free, and allowed for this user",
        "one bind",
        (
            _error("PORT_IN_USE", "The master port is taken.", "choose another --master-port, or auto"),
            _error("PORT_PRIVILEGED", "The master port needs root.", "choose a --master-port of 1024 or more"),
            _error("PORT_UNUSABLE", "The master port cannot be used.", "choose another --master-port"),
        ),
    ),
    Check(
        "names",
        "what a node's own name and its peers' names resolve to",
        "one look-up a name",
        (
            _warning(
                "NAME_IS_LOOPBACK",
                "The node's own name resolves to loopback; software that binds to its own name talks to itself.",
                "let the name lead to the node's address in /etc/hosts",
            ),
            _error(
                "PEER_IS_LOOPBACK",
                "Another node's name resolves to loopback on this node.",
                "mend /etc/hosts there; madctl itself uses addresses only: --skip names",
            ),
        ),
    ),
    Check(
        "storage",
        "each --shared-path: its mount, then files that nodes write and other nodes read",
        "a child process a path with 5 s to answer, one small file a node",
        (
            _error("MOUNT_MISSING", "The path does not exist.", _MOUNT_IT),
            _error("MOUNT_NOT_SHARED", "A local directory of the same name.", _MOUNT_IT),
            _error("MOUNT_IS_BIND", "A local directory is bound to the path.", _MOUNT_IT),
            _error("MOUNT_HUNG", "The path does not answer.", "check the file server and the network to it"),
            _error("MOUNT_STALE", "The file server no longer knows the mount.", "umount -l it and mount it anew"),
            _error("MOUNT_UNREADABLE", "The path cannot be read.", "check the mount and its permissions"),
            _error("MOUNT_READ_ONLY", "The path is read-only.", "mount it rw, or --shared-path PATH:ro"),
            _error("MOUNT_UNWRITABLE", "The path cannot be written.", "check permissions, quota, root_squash"),
            _error("STORAGE_DIFFERS", "The node sees other files than the others.", "mount the same export"),
            _error("STORAGE_UNPROVEN", "The proof's files could not be compared.", "try again"),
            _warning("EXPORT_DIFFERS", "The same files under another server or export name."),
            _warning("STORAGE_TYPE_DIFFERS", "The same files through another type of file system."),
        ),
    ),
    Check(
        "gpus",
        "number, model, driver, and who holds them",
        "the kernel's own files; a vendor's tool only where those are missing",
        (
            _warning("NO_GPU", "No GPU on any node: 1 process a node."),
            _error("GPU_MISSING", "--nproc-per-node gpu, and no GPU was found.", "check the driver"),
            _error(
                "GPU_COUNT_DIFFERS",
                "Nodes have different numbers of GPUs.",
                "fix or exclude that node, or --gpus min",
                needs_all=True,
            ),
            _error(
                "GPU_TOO_FEW",
                "Fewer GPUs than processes, by --nproc-per-node or by slots of a host list.",
                "fix or leave out that node, or start fewer processes",
            ),
            _error("GPU_DEAD", "A GPU is there and does not answer its driver.", "reset it, or restart the node"),
            _error("GPU_FORBIDDEN", "The user may not open the GPUs.", "add the user to the group of the device"),
            _error(
                "GPU_TOOL_FAILED",
                "A vendor's tool is there and fails, so the number of GPUs is not known.",
                "see what it says on the node, or --skip gpus",
            ),
            _error("GPU_VENDOR_DIFFERS", "GPUs of different vendors.", "launch on nodes of one vendor"),
            _error("GPU_DRIVER_DIFFERS", "Different driver versions.", "install the same driver"),
            _warning("GPU_MODEL_DIFFERS", "Different GPU models: the slowest decides."),
            _error("GPU_BUSY", "A process holds GPUs.", "wait for it or end it on the node"),
            _warning("GPU_MIXED", "GPUs of different models in one node: the slowest decides."),
            _warning("GPU_DISPLAY", "A screen, a desktop or a watcher has GPUs open."),
            _warning("GPU_UNKNOWN", "A vendor's tool complained about GPUs."),
            _error("SLOTS_DIFFER", "A host list gives nodes different numbers of slots.", "give all the same", True),
        ),
    ),
    Check(
        "python",
        "the job's Python and its torch",
        "one start of that Python; torch is not imported",
        (
            _error("PYTHON_MISSING", "There is no Python.", "install it, or choose one with --python"),
            _error("TORCH_MISSING", "torch is not installed for the job's Python.", "install torch there"),
            _warning("PYTHON_DIFFERS", "Nodes use their own Python.", "choose one with --python"),
        ),
    ),
    Check(
        "mpi",
        "mpirun: kind, version and path, the same on all nodes; only with --runner mpirun",
        "one mpirun --version, which is asked for anyway",
        (
            _error("MPI_MISSING", "There is no mpirun.", "install openmpi-bin or mpich there, or --mpirun PATH"),
            _error(
                "MPI_UNSUPPORTED",
                "Neither Open MPI nor MPICH: Intel MPI, MVAPICH and others are not tried.",
                "choose an Open MPI or MPICH: --mpirun PATH",
            ),
            _error("MPI_MIXED", "Another MPI than on most nodes.", "install the same at the same path"),
            _error("MPI_AS_ROOT", "mpirun would run as root.", "log in as a user, or --allow-run-as-root"),
            _error("MPI_PATH_DIFFERS", "A path that must be the same on all nodes is not, or cannot be used."),
            _error(
                "MPI_ADDRESS_FAMILY", "mpirun is given addresses of IPv4 only.", "choose a network: --interface CIDR"
            ),
            _error("MPI_ARGS_RESERVED", "--mpi-args says how many ranks run, or where.", "leave it out"),
            _warning("MPI_UNTRIED", "A version of that MPI that madctl's tests do not run."),
        ),
        skippable=False,
        only_for="mpirun",
    ),
    Check(
        "madengine",
        "madengine and its version, docker, a vendor's tool, containers that were left, scripts of models; only with "
        "--tags",
        "two starts of docker, and one of madengine where its version does not stand beside it",
        (
            _error("MADENGINE_MISSING", "There is no madengine.", "install it beside the job's Python"),
            _error("MADENGINE_BROKEN", "madengine cannot be started.", "install it anew"),
            _error("MADENGINE_MIXED", "Another version than on most nodes.", "install the same"),
            _error("MADENGINE_HUNG", "madengine or docker does not answer.", "see what hangs there: docker ps"),
            _warning("MADENGINE_UNKNOWN", "The version is not known: it gets the context and the environment."),
            _warning(
                "MODEL_ALONE",
                "A model's script does not mention the runner: every node would run a world of its own.",
                "start its ranks with $MAD_MULTI_NODE_RUNNER",
            ),
            _error("RUNTIME_MISSING", "There is no docker, which madengine calls.", "install docker or podman-docker"),
            _error("RUNTIME_UNUSABLE", "docker cannot be used by this user.", "see what it says: docker ps"),
            _error("GPU_TOOL_MISSING", "No tool of a GPU vendor, which madengine calls.", "install the vendor's tools"),
            _error(
                "CONTAINER_LEFT",
                "A container of an earlier run: madengine fails where its name is taken.",
                "--replace-containers",
            ),
        ),
        only_for="model",
    ),
    Check(
        "context",
        "--additional-context, --force-mirror-local and --runner for models; only with --tags",
        "nothing",
        (
            _warning("CONTEXT_REPLACED", "The context names ranks, which are the plan's."),
            _warning("CONTEXT_KEPT", "The context says what the plan would have chosen, and wins."),
            _error(
                "CONTEXT_UNSAFE",
                "A value that version 1 of madengine would paste into a shell line, where it means something else.",
                "write it in another way, or use version 2",
            ),
            _error(
                "MIRROR_UNPROVEN",
                "--force-mirror-local is not below a --shared-path that is checked.",
                "do not skip the check storage",
            ),
            _error(
                "MODEL_RUNNER",
                "mpirun cannot start models: its daemons would have to run in containers that madengine makes.",
                "--runner torchrun, or --command with a script of your own",
            ),
        ),
        skippable=False,
        only_for="model",
    ),
    Check(
        "entry",
        "the script and its bytes, the program and whether it can be executed, the module, the working directory",
        "one read of the script; a module is looked for by the start of Python that the check python needs",
        (
            _error("ENTRY_MISSING", "A node lacks the script, program or module.", "put it where every node has it"),
            _error("ENTRY_UNUSABLE", "A node cannot execute the program.", "chmod +x it, or write: bash FILE"),
            _error("ENTRY_DIFFERS", "The script is another one on this node.", "copy the right one there"),
            _error("ENTRY_HUNG", "The directory of the script does not answer.", "check the file server"),
            _error("CHDIR_MISSING", "A node lacks the directory of --chdir.", "create it, or choose another"),
            _warning("CHDIR_HOME", "The working directory is not on every node: the home directory is used."),
        ),
    ),
    Check(
        "versions",
        "Python, torch, CUDA or ROCm, NCCL, MPI, madengine, kernel, user and group",
        "nothing beyond the check python",
        (
            _error("TORCH_DIFFERS", "Another torch, or one built for another CUDA or ROCm.", "install the same"),
            _error("NCCL_DIFFERS", "Another NCCL.", "install the same"),
            _error("USER_DIFFERS", "Another user or group number on shared storage.", "use the same number"),
            _warning("USER_NUMBER_DIFFERS", "Another user or group number."),
            _warning("PYTHON_VERSION_DIFFERS", "Another Python version."),
            _warning("PACKAGE_DIFFERS", "Another version of numpy, mpi4py or madengine."),
            _warning("MPI_DIFFERS", "Another MPI."),
            _warning("KERNEL_DIFFERS", "Another kernel."),
        ),
    ),
    Check(
        "limits",
        "memlock and open files as the job will have them; space for logs and in /dev/shm",
        "a few system calls",
        (
            _error("DISK_FULL", "No room for logs in the run directory.", "free some, or choose --run-dir"),
            _error("RUN_DIR_UNWRITABLE", "Run directories cannot be made.", "choose another --run-dir"),
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
        "one Python start a node",
        (
            _error(
                "CONNECT_REFUSED", "The first node refuses: a firewall that rejects.", "open the ports between nodes"
            ),
            _error("CONNECT_FILTERED", "No answer: a firewall that drops.", "open the ports between nodes"),
            _error("CONNECT_NO_ROUTE", "No route to the first node's address.", "check routes, or --interface"),
            _error("ROUTE_ELSEWHERE", "Another node is reached over another device.", "fix the route"),
            _error("CONNECT_ELSEWHERE", "Another machine answers at that address.", "give every node its own address"),
            _error("CONNECT_FAILED", "The connection failed otherwise."),
            _error("PROOF_FAILED", "The node did not finish the proof, or did not prove all of it.", "try again"),
        ),
    ),
)

_FINDINGS: Dict[str, Finding] = {finding.code: finding for check in CHECKS for finding in check.findings}
CHECK_OF: Dict[str, str] = {finding.code: check.name for check in CHECKS for finding in check.findings}
NAMES: Tuple[str, ...] = tuple(check.name for check in CHECKS)
NEEDS_ALL: FrozenSet[str] = frozenset(code for code, finding in _FINDINGS.items() if finding.needs_all)
ONLY_FOR: Dict[str, str] = {check.name: check.only_for for check in CHECKS if check.only_for}
SKIPPABLE: FrozenSet[str] = frozenset(check.name for check in CHECKS if check.skippable)


def applies(check: str, shape: str, runner: str) -> bool:
    """Return whether a check has anything to do with work of a shape under a runner."""
    return ONLY_FOR.get(check, shape) in (shape, runner)


def remedy_of(code: str, hint: Optional[str] = None) -> Optional[str]:
    """Return the default remedy of a code, None where it has none; ``hint`` is that of the way to the node."""
    remedy = _FINDINGS[code].remedy if code in _FINDINGS else None
    return remedy.replace("{hint}", hint or NO_HINT) if remedy else None


def is_warning(code: str) -> bool:
    """Tell whether a code does not stop a launch."""
    return code in _FINDINGS and _FINDINGS[code].level == WARNING
