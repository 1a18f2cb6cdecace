# SPDX-License-Identifier: Apache-2.0
"""
Turn facts and a request into a plan, or into all problems at once. Pure; private to the collection.

All judgement across nodes is here, so that it is tested with tables and is the same for the command
line, the playbooks and the roles.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    catalog,
    command_line,
    filesystems,
    visible_gpus,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._plan import (
    checks,
    entry_point,
    madengine_runner,
    mpi_runner,
    network_choice,
    node_plan,
    shared_storage,
)

STOP_GRACE_SECONDS = 35.0  # torchrun gives its workers 30


@dataclass(frozen=True)
class Request:
    """What the user asks for; every field is an option of madctl and a variable of the roles."""

    run_id: str
    work: Tuple[Word, ...]
    shape: str = "script"
    runner: str = "torchrun"
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
    run_dir: Optional[str] = None
    start_timeout: float = 60.0
    skip: Tuple[str, ...] = ()
    only: Tuple[str, ...] = ()
    slots: Tuple[Optional[int], ...] = ()
    tags: Tuple[str, ...] = ()
    additional_context: Tuple[Dict[str, Any], ...] = ()  # later ones win
    force_mirror_local: Optional[str] = None
    replace_containers: Tuple[str, ...] = ()

    @property
    def is_given(self) -> bool:
        """Whether there is anything to run."""
        return bool(self.work or self.tags)


@dataclass(frozen=True)
class Outcome:
    """
    Either ``plan`` or ``problems``; ``warnings`` in both cases. Without work there is no plan.

    ``proof`` is what each node is to prove, by host; without a plan it holds what can be proven all the
    same. ``candidates`` explains the network, a list of rows by host; ``fingerprints`` sums up every node.
    """

    plan: Optional[Dict[str, Any]]
    problems: List[Problem]
    warnings: List[Problem]
    proof: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    candidates: Dict[str, List[Dict[str, Any]]] = field(default_factory=dict)
    fingerprints: Dict[str, Dict[str, Any]] = field(default_factory=dict)


Facts = Dict[str, Any]


def make(request: Request, hosts: Sequence[str], facts: Sequence[Facts], no_spares: bool = True) -> Outcome:
    """
    Judge what the nodes reported and plan the launch.

    Args:
        hosts: Names of the nodes in rank order; one host is a single-node run.
        facts: What ``node_info`` returned, in the same order.
        no_spares: Whether no other node can take the place of one that the proof may yet refuse.
    """
    python = command_line.chosen_python(request.work, request.shape, request.python)
    if python != request.python:
        request = replace(request, python=python, python_required=True)
    judge = _Judge(request, hosts, facts, no_spares)
    found = judge.findings()
    problems = [entry for entry in found if not catalog.is_warning(entry["code"])]
    warnings = [entry for entry in found if catalog.is_warning(entry["code"])]
    proof = judge.proof()
    candidates = network_choice.explain(hosts, facts, judge.candidates)
    plan = None if problems or not request.is_given else dict(judge.plan(), proof=proof)
    prints = {host: checks.fingerprint(fact, report) for (host, fact), report in zip(judge.each, judge.reports)}
    return Outcome(plan, problems, warnings, proof, candidates, prints)


def _any_python(python: Dict[str, Any]) -> str:
    """Name a Python for work that brings its own way to start one."""
    return str(python["wanted"] if python["wanted_exists"] else python["own"] or "python3")


def _is_version(named: Optional[str], version: str) -> bool:
    """Tell whether a Python of a version goes by a name such as python3.11; a path is taken as it is."""
    if not named or "/" in named:
        return True
    return (version + ".").startswith(named[len("python") :].rstrip(".") + "." if named != "python" else "")


_NO_PYTHON: Dict[str, Any] = {"wanted": None, "own": None, "wanted_exists": False, "own_exists": False}


def wanted(request: Request, check: str) -> bool:
    """Tell whether a check counts: what a launch cannot do without always does."""
    if catalog.ONLY_FOR.get(check, request.shape) not in (request.shape, request.runner):
        return False
    if check not in catalog.SKIPPABLE:
        return True
    return check not in request.skip and (not request.only or check in request.only)


def _as_the_job_sees_it(request: Request, fact: Facts) -> Facts:
    """Leave out GPUs that variables hide from the job; a model's container gets all of its node."""
    if request.shape == "model":
        return fact
    own = {name: unpack(request.env[name]) for name in visible_gpus.NAMES if name in request.env}
    return dict(fact, gpus=visible_gpus.seen(fact["gpus"], {**(fact.get("visible") or {}), **own}))


class _Judge:
    def __init__(self, request: Request, hosts: Sequence[str], facts: Sequence[Facts], no_spares: bool) -> None:
        self.request, self.hosts, self.no_spares = request, hosts, no_spares
        self.facts = [_as_the_job_sees_it(request, fact) for fact in facts]
        facts = self.facts
        self.each = list(zip(hosts, facts))
        self.python: List[Dict[str, Any]] = [fact["python"] or _NO_PYTHON for fact in facts]

    def findings(self) -> List[Problem]:
        """Run every judge, whatever the others find; what was not asked for is left out."""
        request, each = self.request, self.each
        self.candidates, network = self._network()
        self.nprocs, processes = self._processes()
        self.pythons, self.reports, python = self._python()
        self.cwds, files = entry_point.files(request, each, self.reports)
        self.port, port = self._port()
        found = [
            *checks.machines(each),
            *python,
            *files,
            *network,
            *port,
            *processes,
            *self._mpirun(),
            *self._models(),
        ]
        found += checks.gpus(each) + shared_storage.judge(each, self.request.shared_fstypes, self.no_spares)
        if self.candidates and len(self.hosts) > 1:
            found += checks.network(each, self.candidates)
        found += checks.names(each) + checks.versions(each, self.reports, any(fact["mounts"] for fact in self.facts))
        found += checks.limits(each) + checks.clocks(each)
        return [entry for entry in found if wanted(self.request, catalog.CHECK_OF[entry["code"]])]

    def proof(self) -> Dict[str, Dict[str, Any]]:
        """Say what every node has to prove."""
        reading = (
            shared_storage.reading(self.each, self.request.shared_fstypes) if wanted(self.request, "storage") else {}
        )
        peers = sorted({fact["hostname"] for fact in self.facts})
        proof: Dict[str, Dict[str, Any]] = {}
        for host, fact in self.each:
            own = fact["hostname"]
            proof[host] = {
                "read": reading.get(host, []),
                "written": shared_storage.written(fact),
                "peers": [name for name in peers if name != own] if wanted(self.request, "names") else [],
            }
        if not self.candidates or len(self.hosts) < 2 or not wanted(self.request, "proof"):
            return proof
        address, token = self.candidates[0].address, self.request.run_id
        ports = ([self.port] if self.port else []) + [0]
        proof[self.hosts[0]]["listen"] = {
            "address": address,
            "ports": ports,
            "token": token,
            "seconds": self.request.start_timeout,
        }
        for host, candidate in zip(self.hosts[1:], self.candidates[1:]):
            proof[host]["connect"] = {"address": address, "source": candidate.address, "token": token}
        for (host, fact), candidate in zip(self.each, self.candidates):
            proof[host]["routes"] = network_choice.routed(candidate, fact)
        return proof

    # -- network ----------------------------------------------------------------------------------

    def _network(self) -> Tuple[List[network_choice.Candidate], List[Problem]]:
        if len(self.hosts) == 1 and self.request.interface is None and self.request.master_addr is None:
            return [network_choice.Candidate("lo", "127.0.0.1", "127.0.0.0/8")], []
        unreadable = network_choice.unreadable(self.each)
        if unreadable:
            return [], unreadable
        choice: Tuple[List[network_choice.Candidate], List[Problem]] = network_choice.choose(
            self.hosts, self.facts, self.request.interface, self.request.master_addr
        )
        return choice

    def _port(self) -> Tuple[int, List[Problem]]:
        """Find the port to meet at; 0 where it cannot be used."""
        host, fact = self.hosts[0], self.facts[0]
        if self.request.master_port == "auto":
            return int(fact["port"]["free"]), []
        number = int(self.request.master_port)
        if number < fact["privileged_below"] and fact["user_id"] != 0:
            return 0, [problem("PORT_PRIVILEGED", host, "port %d needs root" % number)]
        if fact["port"]["error"] == "EADDRINUSE":
            by = " by " + fact["port"]["holder"] if fact["port"]["holder"] else ""
            return 0, [problem("PORT_IN_USE", host, "master port %d is in use%s" % (number, by))]
        if fact["port"]["error"]:
            message = "master port %d cannot be used: %s" % (number, fact["port"]["error"])
            return 0, [problem("PORT_UNUSABLE", host, message)]
        return number, []

    # -- processes --------------------------------------------------------------------------------

    def _processes(self) -> Tuple[List[int], List[Problem]]:
        """Find the number of ranks of every node."""
        slots = self.request.slots
        if self.request.nproc_per_node == "auto" and any(slots):
            most = max(set(slots), key=slots.count) or 0
            numbers = [most] * len(slots)
            unequal = self._unequal(slots, most)
            if self.request.runner == "mpirun":
                numbers, unequal = [count or 1 for count in slots], []
            return numbers, unequal + checks.too_few(self.each, numbers)
        nprocs, found = checks.processes(self.each, self.request.nproc_per_node, self.request.gpus)
        if self.request.shape == "model" and found and found[0]["code"] == "NO_GPU":
            message = "no GPU is counted on any node: version 1 of madengine counts itself, 2 starts 1 process per node"
            found = [problem("NO_GPU", None, message, "--nproc-per-node")]
        return nprocs, found

    def _unequal(self, slots: Sequence[Optional[int]], most: int) -> List[Problem]:
        """Take the host list's own word for the number of processes; torchrun wants the same everywhere."""
        return [
            problem(
                "SLOTS_DIFFER",
                host,
                "%s slots in the host list, most nodes have %d" % (count or "no", most),
                "give all the same, or give --nproc-per-node a number",
            )
            for host, count in zip(self.hosts, slots)
            if count != most
        ]

    def _mpirun(self) -> List[Problem]:
        """Judge what mpirun needs."""
        request = self.request
        if request.runner != "mpirun":
            return []
        found: List[Problem] = mpi_runner.judge(self.each, request.mpirun, request.mpi_args, request.allow_run_as_root)
        run_dirs = [node_plan.run_dir(request, fact) for fact in self.facts]
        found += mpi_runner.judge_paths(self.hosts, [fact["interpreter"] for fact in self.facts], run_dirs)
        return found + [
            problem("MPI_ADDRESS_FAMILY", host, "the network of the job is %s here" % candidate.network)
            for host, candidate in zip(self.hosts, self.candidates)
            if ":" in candidate.address
        ]

    def _models(self) -> List[Problem]:
        """Judge what models need."""
        request = self.request
        if request.shape != "model":
            return []
        versions = {madengine_runner.major_of(fact, self.facts) for fact in self.facts}
        own = madengine_runner.merge(request.additional_context, versions != {2})
        found: List[Problem] = madengine_runner.judge(
            self.each, request.replace_containers, own.get("MAD_CONTAINER_IMAGE")
        )
        found += madengine_runner.alone(self.each) + madengine_runner.overridden(own)
        if versions != {2}:
            env = {name: unpack(value) for name, value in request.env.items()}
            found += madengine_runner.unsafe(own, request.tags, request.force_mirror_local, env)
        if request.runner == "mpirun":
            found.append(problem("MODEL_RUNNER", None, "madengine's own containers cannot take daemons of mpirun"))
        shared = [mount["path"] for mount in self.facts[0]["mounts"]]
        mirror = request.force_mirror_local
        if mirror and not (wanted(request, "storage") and any(filesystems.is_below(mirror, path) for path in shared)):
            message = "%s is no shared storage that is checked" % mirror
            found.append(problem("MIRROR_UNPROVEN", None, message))
        return found

    def _python(self) -> Tuple[List[str], List[Optional[Dict[str, Any]]], List[Problem]]:
        """Choose every node's Python for the job; also give what each says of itself."""
        request, script = self.request, self.request.shape == "script"
        if not script:
            return [_any_python(python) for python in self.python], [None] * len(self.python), []
        key, found = "wanted", []
        missing = [host for host, python in zip(self.hosts, self.python) if not python["wanted_exists"]]
        if missing and request.python_required:
            found = [problem("PYTHON_MISSING", host, "no Python at %s" % request.python) for host in missing]
        elif missing:
            key = "own"
            if request.python:
                message = "%s is not on every node: each uses its own python3" % request.python
                found.append(problem("PYTHON_DIFFERS", None, message))
        reports: List[Optional[Dict[str, Any]]] = [python.get(key + "_report") for python in self.python]
        for host, python, report in zip(self.hosts, self.python, reports):
            if not python[key + "_exists"]:
                if key == "own":
                    found.append(problem("PYTHON_MISSING", host, "no python3 found"))
            elif report is None:
                found.append(problem("PYTHON_MISSING", host, "%s does not answer" % python[key]))
            elif not report["torch"] and request.runner == "torchrun":
                found.append(problem("TORCH_MISSING", host, "torch is not installed for %s" % python[key]))
            elif not _is_version(command_line.named_python(request.work), report["version"]):
                message = "the job's Python is %s, the work begins with %s"
                named = command_line.named_python(request.work)
                found.append(problem("PYTHON_MISSING", host, message % (report["version"], named)))
        return [str(python[key]) for python in self.python], reports, found

    # -- the plan ---------------------------------------------------------------------------------

    def plan(self) -> Dict[str, Any]:
        single = len(self.hosts) == 1 and self.candidates[0].interface == "lo"
        addr = self.request.master_addr or ("localhost" if single else self.candidates[0].address)
        port = self.port or int(self.request.master_port)
        chosen = node_plan.Chosen(
            self.request, self.hosts, self.facts, self.candidates, self.pythons, self.cwds, self.nprocs, addr, port
        )
        network = ",".join(network_choice.cover(self.facts, self.candidates, self.request.interface))
        if self.request.runner == "mpirun":
            chosen = replace(chosen, mpi=self._launch(None if single else network))
        slots = zip(self.candidates, self.nprocs)
        return {
            "run_id": self.request.run_id,
            "runner": self.request.runner,
            "shape": self.request.shape,
            "master_addr": addr,
            "master_port": port,
            "nnodes": len(self.hosts),
            "world_size": chosen.world_size,
            "start_timeout": self.request.start_timeout,
            "grace": STOP_GRACE_SECONDS,
            "lock": wanted(self.request, "machine"),
            "beacon": shared_storage.proven(self.facts),
            "work": list(self.request.work),
            "hostfile": "".join("%s slots=%d\n" % (candidate.address, count) for candidate, count in slots),
            "network": network,
            "nodes": [asdict(node) for node in node_plan.nodes(chosen)],
        }

    def _launch(self, network: Optional[str]) -> mpi_runner.Launch:
        request, mpi = self.request, mpi_runner.recognise(self.facts[0]["mpi"])
        assert mpi is not None
        return mpi_runner.Launch(
            mpi=mpi,
            addresses=[candidate.address for candidate in self.candidates] if network else ["localhost"],
            slots=self.nprocs,
            network=network,
            interface=self.candidates[0].interface,
            interpreter=self.facts[0]["interpreter"],
            run_dir=node_plan.run_dir(request, self.facts[0]),
            words=request.mpi_args,
            names=tuple(request.env),
            as_root=request.allow_run_as_root,
        )
