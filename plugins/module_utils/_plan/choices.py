# SPDX-License-Identifier: Apache-2.0
"""
Choose what a launch rests on, one thing after the other: Pythons, directories, cards, a port, numbers of ranks.

Everything is chosen as well as it can be, whatever stands against it, so that all that is wrong is found in one pass.
Pure; private to the collection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, visible_gpus
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.fact_shapes import Facts, Nodes, Report
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._plan import checks, entry_point, network_choice
from ansible_collections.madctl.multinode.plugins.module_utils._request.request import Request


@dataclass(frozen=True)
class Case:
    """What is judged: a request, and in rank order the nodes with their facts, as the job sees them."""

    request: Request
    hosts: Sequence[str]
    facts: Sequence[Facts]

    @property
    def nodes(self) -> Nodes:
        """Hosts with their facts."""
        return list(zip(self.hosts, self.facts))


@dataclass(frozen=True)
class Choices:
    """
    What was chosen, all but the port in rank order.

    ``candidates`` are cards, none where no network could be chosen; ``nprocs`` numbers of ranks; ``pythons`` paths of
    the job's Python, and ``reports`` what those say of themselves; ``cwds`` working directories; ``port`` the one that
    nodes meet at, 0 where it cannot be used.
    """

    candidates: Sequence[network_choice.Candidate]
    nprocs: Sequence[int]
    pythons: Sequence[str]
    reports: Sequence[Optional[Report]]
    cwds: Sequence[str]
    port: int


def case_of(request: Request, hosts: Sequence[str], facts: Sequence[Facts]) -> Case:
    """Take a request and facts for judgement; a Python that the work itself begins with wins, and is required."""
    python = command_line.chosen_python(request.work, request.shape, request.python)
    if python != request.python:
        request = replace(request, python=python, python_required=True)
    return Case(request, hosts, [_as_the_job_sees_it(request, fact) for fact in facts])


def _as_the_job_sees_it(request: Request, fact: Facts) -> Facts:
    """Leave out GPUs that variables hide from the job; a model's container gets all of its node."""
    if request.shape == "model":
        return fact
    own = {name: unpack(request.env[name]) for name in visible_gpus.NAMES if name in request.env}
    return {**fact, "gpus": visible_gpus.seen(fact["gpus"], {**(fact.get("visible") or {}), **own})}


def choose(case: Case) -> Tuple[Choices, List[Problem]]:
    """Choose everything, and say what stands against each of the choices."""
    pythons, reports, against_python = _python(case)
    cwds, against_files = entry_point.files(case.request, case.nodes, reports)
    candidates, against_network = _network(case)
    port, against_port = _port(case)
    nprocs, against_processes = _processes(case)
    problems = [*against_python, *against_files, *against_network, *against_port, *against_processes]
    return Choices(candidates, nprocs, pythons, reports, cwds, port), problems


# -- the Python ---------------------------------------------------------------------------------------


class _Interpreter(NamedTuple):
    path: Optional[str]
    exists: bool
    report: Optional[Report]


_NOTHING = _Interpreter(None, False, None)


def _interpreters(fact: Facts) -> Tuple[_Interpreter, _Interpreter]:
    """Give the Python that was asked for, and the node's own."""
    python = fact["python"]
    if python is None:
        return _NOTHING, _NOTHING
    return (
        _Interpreter(python["wanted"], python["wanted_exists"], python.get("wanted_report")),
        _Interpreter(python["own"], python["own_exists"], python.get("own_report")),
    )


def _python(case: Case) -> Tuple[List[str], List[Optional[Report]], List[Problem]]:
    """Choose every node's Python for the job; also give what each says of itself."""
    request, known = case.request, [_interpreters(fact) for fact in case.facts]
    if request.shape != "script":
        # The work brings its own way to start one.
        any_python = [wanted.path if wanted.exists else own.path or "python3" for wanted, own in known]
        return [str(path) for path in any_python], [None] * len(known), []
    found: List[Problem] = []
    chosen, is_own = [wanted for wanted, _ in known], False
    missing = [host for host, one in zip(case.hosts, chosen) if not one.exists]
    if missing and request.python_required:
        found = [problem("PYTHON_MISSING", host, "no Python at %s" % request.python) for host in missing]
    elif missing:
        chosen, is_own = [own for _, own in known], True
        if request.python:
            message = "%s is not on every node: each uses its own python3" % request.python
            found.append(problem("PYTHON_DIFFERS", None, message))
    named = command_line.named_python(request.work)
    for host, one in zip(case.hosts, chosen):
        if not one.exists:
            if is_own:
                found.append(problem("PYTHON_MISSING", host, "no python3 found"))
        elif one.report is None:
            found.append(problem("PYTHON_MISSING", host, "%s does not answer" % one.path))
        elif not one.report["torch"] and request.runner == "torchrun":
            found.append(problem("TORCH_MISSING", host, "torch is not installed for %s" % one.path))
        elif not _is_version(named, one.report["version"]):
            message = "the job's Python is %s, the work begins with %s" % (one.report["version"], named)
            found.append(problem("PYTHON_MISSING", host, message))
    return [str(one.path) for one in chosen], [one.report for one in chosen], found


def _is_version(named: Optional[str], version: str) -> bool:
    """Tell whether a Python of a version goes by a name such as python3.11; a path is taken as it is."""
    if not named or "/" in named:
        return True
    return (version + ".").startswith(named[len("python") :].rstrip(".") + "." if named != "python" else "")


# -- the network --------------------------------------------------------------------------------------


def _network(case: Case) -> Tuple[List[network_choice.Candidate], List[Problem]]:
    """Choose every node's card and address."""
    request = case.request
    if len(case.hosts) == 1 and request.interface is None and request.master_addr is None:
        return [network_choice.Candidate("lo", "127.0.0.1", "127.0.0.0/8")], []
    unreadable = network_choice.unreadable(case.nodes)
    if unreadable:
        return [], unreadable
    return network_choice.choose(case.hosts, case.facts, request.interface, request.master_addr)


def _port(case: Case) -> Tuple[int, List[Problem]]:
    """Find the port to meet at; 0 where it cannot be used."""
    host, fact = case.hosts[0], case.facts[0]
    if case.request.master_port == "auto":
        return fact["port"]["free"], []
    number = int(case.request.master_port)
    if number < fact["privileged_below"] and fact["user_id"] != 0:
        return 0, [problem("PORT_PRIVILEGED", host, "port %d needs root" % number)]
    if fact["port"]["error"] == "EADDRINUSE":
        by = " by " + fact["port"]["holder"] if fact["port"]["holder"] else ""
        return 0, [problem("PORT_IN_USE", host, "master port %d is in use%s" % (number, by))]
    if fact["port"]["error"]:
        message = "master port %d cannot be used: %s" % (number, fact["port"]["error"])
        return 0, [problem("PORT_UNUSABLE", host, message)]
    return number, []


# -- processes ----------------------------------------------------------------------------------------


def _processes(case: Case) -> Tuple[List[int], List[Problem]]:
    """Find the number of ranks of every node."""
    request, slots = case.request, case.request.slots
    if request.nproc_per_node == "auto" and any(slots):
        most = max(set(slots), key=slots.count) or 0
        numbers = [most] * len(slots)
        unequal = _unequal(case.hosts, slots, most)
        if request.runner == "mpirun":
            numbers, unequal = [count or 1 for count in slots], []
        return numbers, unequal + checks.too_few(case.nodes, numbers)
    nprocs, found = checks.processes(case.nodes, request.nproc_per_node, request.gpus)
    if request.shape == "model" and found and found[0]["code"] == "NO_GPU":
        message = "no GPU is counted on any node: version 1 of madengine counts itself, 2 starts 1 process per node"
        found = [problem("NO_GPU", None, message, "--nproc-per-node")]
    return nprocs, found


def _unequal(hosts: Sequence[str], slots: Sequence[Optional[int]], most: int) -> List[Problem]:
    """Take the host list's own word for the number of processes; torchrun wants the same everywhere."""
    return [
        problem(
            "SLOTS_DIFFER",
            host,
            "%s slots in the host list, most nodes have %d" % (count or "no", most),
            "give all the same, or give --nproc-per-node a number",
        )
        for host, count in zip(hosts, slots)
        if count != most
    ]
