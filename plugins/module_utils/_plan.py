# SPDX-License-Identifier: Apache-2.0
"""
Turn facts and a request into a plan, or into all problems at once. Pure; private to the collection.

All judgement across nodes is here, so that it is tested with tables and is the same for the command
line, the playbooks and the roles.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from ipaddress import ip_network
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _argv, _network, _storage
from ansible_collections.madctl.multinode.plugins.module_utils._codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._words import Word

STOP_GRACE_SECONDS = 35.0  # torchrun gives its workers 30


@dataclass(frozen=True)
class Request:
    """What the user asks for; every field is an option of madctl and a variable of the roles."""

    run_id: str
    work: Tuple[Word, ...]
    shape: str = "script"
    python: Optional[str] = None
    python_required: bool = False
    nproc_per_node: str = "auto"
    master_addr: Optional[str] = None
    master_port: str = "29500"
    interface: Optional[str] = None
    shared_paths: Tuple[str, ...] = ()
    env: Dict[str, Word] = field(default_factory=dict)
    chdir: Optional[str] = None
    chdir_required: bool = False
    run_dir: Optional[str] = None
    start_timeout: float = 60.0
    skip: Tuple[str, ...] = ()
    slots: Tuple[Optional[int], ...] = ()


@dataclass(frozen=True)
class Node:
    """One node's share of the plan; ``argv`` is what its runner gets, and ``env`` beside the user's own."""

    host: str
    node_rank: int
    address: str
    interface: str
    nproc_per_node: int
    cwd: str
    argv: List[Word]
    env: Dict[str, Word]
    run_dir: str


@dataclass(frozen=True)
class Outcome:
    """Either ``plan`` or ``problems``; ``warnings`` in both cases."""

    plan: Optional[Dict[str, Any]]
    problems: List[Problem]
    warnings: List[Problem]


Facts = Dict[str, Any]


def make(request: Request, hosts: Sequence[str], facts: Sequence[Facts]) -> Outcome:
    """
    Judge what the nodes reported and plan the launch.

    Args:
        hosts: Names of the nodes in rank order; one host is a single-node run.
        facts: What ``node_info`` returned, in the same order.
    """
    judge = _Judge(request, hosts, facts)
    problems = judge.all_problems()
    if problems:
        return Outcome(None, problems, judge.warnings)
    return Outcome(judge.plan(), [], judge.warnings)


def _any_python(python: Dict[str, Any]) -> str:
    """Name a Python for work that brings its own way to start one."""
    return str(python["wanted"] if python["wanted_exists"] else python["own"] or "python3")


class _Judge:
    def __init__(self, request: Request, hosts: Sequence[str], facts: Sequence[Facts]) -> None:
        self.request, self.hosts, self.facts = request, hosts, facts
        self.warnings: List[Problem] = []
        self.each = list(zip(hosts, facts))

    def all_problems(self) -> List[Problem]:
        self.candidates, network = self._network()
        self.nproc, gpu = self._processes()
        self.pythons, python = self._python()
        self.cwds, files = self._files()
        storage = _storage.judge(self.each, self.request.shared_paths)
        return [*self._identity(), *python, *files, *network, *self._port(), *gpu, *storage]

    def _identity(self) -> List[Problem]:
        seen: Dict[Any, str] = {}
        found = []
        for host, fact in self.each:
            identity = (fact["machine_id"], fact["boot_id"])
            if identity in seen and len(self.hosts) > 1:
                message = "is the same machine as %s" % seen[identity]
                found.append(problem("DUPLICATE_MACHINE", host, message, "name every machine once"))
            seen.setdefault(identity, host)
        return found

    # -- network ----------------------------------------------------------------------------------

    def _network(self) -> Tuple[List[_network.Candidate], List[Problem]]:
        if len(self.hosts) == 1 and self.request.interface is None and self.request.master_addr is None:
            return [_network.Candidate("lo", "127.0.0.1", "127.0.0.0/8")], []
        missing = [
            problem(
                "NET_TOOLS_MISSING",
                host,
                "ifconfig is not installed",
                "let launch install net-tools, or install it yourself",
            )
            for host, fact in self.each
            if not fact["ifconfig"]
        ]
        if missing:
            return [], missing
        wanted = self.request.interface
        if self.request.master_addr is not None and wanted is None:
            own = {c.address: c.network for c in _network.usable(self.facts[0])}
            if self.request.master_addr not in own:
                message = "%s is no usable address of this node" % self.request.master_addr
                remedy = "its addresses: " + (", ".join(own) or "none")
                return [], [problem("MASTER_ADDR_UNKNOWN", self.hosts[0], message, remedy)]
            wanted = own[self.request.master_addr]
        choice: Tuple[List[_network.Candidate], List[Problem]] = _network.choose(self.hosts, self.facts, wanted)
        return choice

    def _port(self) -> List[Problem]:
        if self.request.master_port == "auto" or self.request.shape == "command":
            return []
        host, fact = self.hosts[0], self.facts[0]
        number = int(self.request.master_port)
        if number < fact["privileged_below"] and fact["user_id"] != 0:
            message = "port %d needs root" % number
            return [problem("PORT_PRIVILEGED", host, message, "choose a --master-port of 1024 or more")]
        if fact["port"]["error"] == "EADDRINUSE":
            by = " by " + fact["port"]["holder"] if fact["port"]["holder"] else ""
            message = "master port %d is in use%s" % (number, by)
            return [problem("PORT_IN_USE", host, message, "choose another --master-port, or auto")]
        if fact["port"]["error"]:
            message = "master port %d cannot be used: %s" % (number, fact["port"]["error"])
            return [problem("PORT_UNUSABLE", host, message, "choose another --master-port")]
        return []

    # -- processes --------------------------------------------------------------------------------

    def _processes(self) -> Tuple[int, List[Problem]]:
        wanted = self.request.nproc_per_node
        if wanted not in ("auto", "gpu"):
            return int(wanted), []
        slots = self.request.slots
        if wanted == "auto" and any(slots):
            return self._slots()
        counts = [fact["gpus"]["count"] for fact in self.facts]
        if not any(counts):
            if wanted == "gpu":
                remedy = "check the driver, or give --nproc-per-node a number"
                return 0, [problem("GPU_MISSING", host, "no GPU found", remedy) for host in self.hosts]
            self.warnings.append(problem("NO_GPU", None, "no GPU on any node: 1 process a node", None))
            return 1, []
        most = max(set(counts), key=counts.count)
        return most, [
            problem(
                "GPU_COUNT_DIFFERS",
                host,
                "%d GPUs, most nodes have %d" % (count, most),
                "mend or leave out that node, or give --nproc-per-node a number",
            )
            for host, count in zip(self.hosts, counts)
            if count != most
        ]

    def _slots(self) -> Tuple[int, List[Problem]]:
        """Take the host list's own word for the number of processes; torchrun wants the same everywhere."""
        slots = self.request.slots
        most = max(set(slots), key=slots.count) or 0
        return most, [
            problem(
                "SLOTS_DIFFER",
                host,
                "%s slots in the host list, most nodes have %d" % (count or "no", most),
                "give all the same, or give --nproc-per-node a number",
            )
            for host, count in zip(self.hosts, slots)
            if count != most
        ]

    def _python(self) -> Tuple[List[str], List[Problem]]:
        request, script = self.request, self.request.shape == "script"
        if not script:
            return [_any_python(fact["python"]) for fact in self.facts], []
        key = "wanted"
        if not all(fact["python"]["wanted_exists"] for fact in self.facts):
            if request.python_required:
                return [], [
                    problem(
                        "PYTHON_MISSING",
                        host,
                        "no Python at %s" % request.python,
                        "install it there, or choose another --python",
                    )
                    for host, fact in self.each
                    if not fact["python"]["wanted_exists"]
                ]
            key = "own"
            if request.python:
                message = "%s is not on every node: each uses its own python3" % request.python
                self.warnings.append(problem("PYTHON_DIFFERS", None, message, "choose one with --python"))
        missing = []
        for host, fact in self.each:
            path = fact["python"][key]
            if not fact["python"].get(key + "_exists"):
                missing.append(
                    problem("PYTHON_MISSING", host, "no python3 found", "install it, or choose one with --python")
                )
            elif not fact["python"][key + "_torch"]:
                message = "torch is not installed for %s" % path
                missing.append(
                    problem("TORCH_MISSING", host, message, "install torch there, or choose another --python")
                )
        return [str(fact["python"][key]) for fact in self.facts], missing

    def _files(self) -> Tuple[List[str], List[Problem]]:
        request = self.request
        entry = _argv.entry_script(request.work)
        if request.chdir is None:
            cwds = [str(fact["home"]) for fact in self.facts]
        elif all(fact["chdir_exists"] for fact in self.facts):
            cwds = [str(request.chdir) for _ in self.facts]
        elif request.chdir_required:
            return [], [
                problem(
                    "CHDIR_MISSING",
                    host,
                    "no directory %s" % request.chdir,
                    "create it there, or choose another --chdir",
                )
                for host, fact in self.each
                if not fact["chdir_exists"]
            ]
        elif entry is not None and not entry.startswith("/"):
            return [], [
                problem(
                    "ENTRY_MISSING",
                    host,
                    "no directory %s, so no %s" % (request.chdir, entry),
                    "put the job where every node has it, or give an absolute path",
                )
                for host, fact in self.each
                if not fact["chdir_exists"]
            ]
        else:
            cwds = [str(fact["home"]) for fact in self.facts]
            message = "%s is not on every node: the job runs in the home directory" % request.chdir
            self.warnings.append(problem("CHDIR_HOME", None, message, "choose one with --chdir"))
        if request.shape == "command" or "entry" in request.skip:
            return cwds, []
        return cwds, [
            problem("ENTRY_MISSING", host, "no file %s" % entry, "put it there, or on storage that all nodes share")
            for host, fact in self.each
            if fact["entry_exists"] is False
        ]

    # -- the plan ---------------------------------------------------------------------------------

    def plan(self) -> Dict[str, Any]:
        single = len(self.hosts) == 1 and self.candidates[0].interface == "lo"
        addr = self.request.master_addr or ("localhost" if single else self.candidates[0].address)
        port = self.facts[0]["port"]["free"] if self.request.master_port == "auto" else int(self.request.master_port)
        nodes = [self._node(rank, addr, port) for rank in range(len(self.hosts))]
        return {
            "run_id": self.request.run_id,
            "runner": "torchrun",
            "shape": self.request.shape,
            "master_addr": addr,
            "master_port": port,
            "nnodes": len(nodes),
            "world_size": len(nodes) * self.nproc,
            "start_timeout": self.request.start_timeout,
            "grace": STOP_GRACE_SECONDS,
            "hostfile": "".join("%s slots=%d\n" % (c.address, self.nproc) for c in self.candidates),
            "network": str(ip_network(self.candidates[0].network)),
            "nodes": [asdict(node) for node in nodes],
        }

    def _node(self, rank: int, addr: str, port: int) -> Node:
        request, fact, candidate = self.request, self.facts[rank], self.candidates[rank]
        base = request.run_dir or "/var/tmp/madctl-%d" % fact["user_id"]
        run_dir = "%s/%s" % (base.rstrip("/"), request.run_id)
        python = self.pythons[rank]
        rendezvous = {"addr": addr, "port": str(port), "id": request.run_id, "log_dir": run_dir + "/torchrun"}

        def torchrun(program: Sequence[Word]) -> List[Word]:
            return list(_argv.torchrun_argv(rendezvous, len(self.hosts), rank, self.nproc, python, program))

        if request.shape == "script":
            shim = [fact["interpreter"], "-I", "-S", run_dir + "/bin/_rank.py"]
            argv = torchrun([*shim, *_argv.rank_argv(request.work, python)])
        else:
            argv = list(request.work)
        env = {
            "MASTER_ADDR": addr,
            "MASTER_PORT": str(port),
            "NNODES": str(len(self.hosts)),
            "NODE_RANK": str(rank),
            "NPROC_PER_NODE": str(self.nproc),
            "WORLD_SIZE": str(len(self.hosts) * self.nproc),
            "NCCL_SOCKET_IFNAME": _network.nccl_name(candidate.interface, fact),
            "GLOO_SOCKET_IFNAME": candidate.interface,
            "PYTHONUNBUFFERED": "1",
            # torchrun sets this too, with a banner on every node.
            **({"OMP_NUM_THREADS": "1"} if self.nproc > 1 and request.shape == "script" else {}),
        }
        # The user's own values win, and stay out of the plan, since plans are shown and logged.
        env = {name: value for name, value in env.items() if name not in request.env}
        env.update(
            {
                "MAD_MULTI_NODE_RUNNER": shlex.join(str(word) for word in torchrun([])[:-1]),
                "MADCTL_RUN_ID": request.run_id,
                "MADCTL_RUN_DIR": run_dir,
                "MADCTL_HOSTFILE": run_dir + "/hostfile",
            }
        )
        return Node(
            self.hosts[rank],
            rank,
            candidate.address,
            candidate.interface,
            self.nproc,
            self.cwds[rank],
            argv,
            env,
            run_dir,
        )
