# SPDX-License-Identifier: Apache-2.0
"""
The sentences that report a run, each written once for both madctl and playbooks.

Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import size
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold
from ansible_collections.madctl.multinode.plugins.module_utils._show.rows import CUT

Event = Dict[str, Any]
LINKS = (events.SUSPECT, events.BACK)
_INTERRUPTED = "interrupted; stopping all nodes; press Ctrl-C again to kill"
_CAUSE = 200  # characters
_COMMIT = 7  # characters of it, as git shows them


class Sentence(NamedTuple):
    """What to report about a stage."""

    stage: str
    text: str

    def __str__(self) -> str:
        """Format it as a line of the screen."""
        return "%-7s %s" % self


def answered(number: int) -> Sentence:
    """Report how many nodes were probed."""
    return Sentence("probe", "%s answered" % count(number, "node"))


def code(about: Mapping[str, Any]) -> str:
    """Describe which code a run has: its commit and branch, or its directory, and whether that was changed."""
    branch = about.get("branch")
    parts = [str(about["commit"])[:_COMMIT] if about.get("commit") else str(about["dir"])]
    parts += ["on %s" % branch] if branch else []
    return " ".join(parts) + (", with changes" if about.get("dirty") else "")


def synced(event: Event) -> Sentence:
    """Report which code all nodes have, and how much of it was sent; a dry run sends nothing."""
    about, nodes = event["code"], event["nodes"]
    parts = "%s, %s" % (count(about["files"], "file"), size(about["bytes"]))
    if not nodes:
        sent = "all nodes have it"
    elif event["sent"]:
        sent = "sent %s to %s" % (size(event["sent"]), count(nodes, "node"))
    else:
        sent = "a launch sends it to %s" % count(nodes, "node")
    return Sentence("code", "%s; %s; %s" % (code(about), parts, sent))


def installing(hosts: Sequence[str]) -> Sentence:
    """Report where net-tools are installed before planning is possible."""
    return Sentence("install", "net-tools on %s" % fold(hosts))


def planned(plan: Mapping[str, Any]) -> Sentence:
    """Report the plan in a few words, its ranks as a sum of nodes with the same number."""
    counts = [node["nproc_per_node"] for node in plan["nodes"]]
    terms = " + ".join("%d × %s" % (counts.count(number), number) for number in dict.fromkeys(counts))
    interfaces = ", ".join(sorted({node["interface"] for node in plan["nodes"]}))
    where = "on %s, master %s:%s" % (interfaces, plan["master_addr"], plan["master_port"])
    return Sentence("plan", "%s = %s %s" % (terms, count(plan["world_size"], "rank"), where))


def called(run_id: str, name: Optional[str]) -> Sentence:
    """Report the id of a run that starts, and its name."""
    return Sentence("run", "%s (%s)" % (run_id, name) if name else run_id)


def ready(nodes: str) -> Sentence:
    """Report that all nodes wait for the start."""
    return Sentence("arm", "%s ready" % nodes)


def started(nodes: str) -> Sentence:
    """Report that the job was started on all nodes."""
    return Sentence("go", "started on %s" % nodes)


def joined(number: int) -> Sentence:
    """Report that all ranks have joined."""
    return Sentence("ranks", "all %d joined" % number if number > 1 else "1 rank joined")


def restarted(event: Event) -> Sentence:
    """Report which attempt begins, why the last one failed, and which nodes were replaced."""
    failed = ["attempt %d failed: %s" % (event["attempt"], codes.cause(event["after"]))] if "after" in event else []
    changes = ["%s replaces %s" % (new, old) for old, new in (event.get("replaced") or {}).items()]
    text = "%s of %s" % (event["attempt"], event["of"])
    return Sentence("restart", ": ".join([text, "; ".join([*failed, *changes])] if failed or changes else [text]))


def attached(plan: Mapping[str, Any]) -> Sentence:
    """Report that a run which began earlier is followed."""
    size = "%s, %s" % (count(plan["nnodes"], "node"), count(plan["world_size"], "rank"))
    return Sentence("attach", "%s: %s" % (plan["run_id"], size))


def still_running(run_id: str, hosts: Sequence[str] = ()) -> List[Sentence]:
    """
    Report that a run continues without this command, and how to return to it.

    Args:
        hosts: Its nodes, which must be queried first, because this machine has no record of the run.
    """
    find = [Sentence("find", "madctl ps --hosts %s" % fold(hosts))] if hosts else []
    return [Sentence("run", "%s is still running" % run_id), *find, *_back(run_id)]


def queued(run_id: str, job_id: str) -> List[Sentence]:
    """Report that a run waits as a job in a queue, and how to return to it."""
    return [Sentence("run", "%s is queued as job %s" % (run_id, job_id)), *_back(run_id)]


def _back(run_id: str) -> List[Sentence]:
    return [Sentence(command, "madctl %s %s" % (command, run_id)) for command in ("attach", "stop")]


def interrupted(order: bytes, is_running: bool) -> Sentence:
    """Report the effect of a Ctrl-C, or of the end of the terminal."""
    texts = {
        wire.STOP: _INTERRUPTED if is_running else "stopping; press Ctrl-C again to kill",
        wire.KILL: "killing; press Ctrl-C again to detach",
        wire.DETACH: "detaching; the run continues" if is_running else "leaving before the start",
    }
    return Sentence("stop", texts[order])


def about_links(kind: str, hosts: Sequence[str]) -> Sentence:
    """Report that hosts fell silent, or answer again."""
    does, is_ = ("does", "is") if len(hosts) == 1 else ("do", "are")
    text = "%s not answer; the run continues, retrying" % does if kind == events.SUSPECT else "%s back" % is_
    return Sentence("link", "%s %s" % (fold(hosts), text))


def stopping(why: Optional[Problem]) -> Sentence:
    """Report that all nodes are stopped, and why."""
    return Sentence("stop", "%sstopping all nodes" % ("%s; " % cause(why) if why else ""))


def cause(found: Problem) -> str:
    """Describe in a few words what went wrong, and where."""
    host, message = found["host"], found["message"]
    what, failed, how = message.partition(" failed: ")
    if host and failed:
        text = "%s on %s failed (%s)" % (what, host, how)
    elif host:
        text = "%s is lost" % host if found["code"] in codes.LOST else "%s: %s" % (host, message)
    else:
        text = message
    return text if len(text) <= _CAUSE else text[:_CAUSE] + CUT


def _lost(event: Event) -> Sentence:
    reason = event.get("message")
    return Sentence("lost", "%s is lost%s" % (event["host"], ": %s" % reason if reason else ""))


def _notice(text: str) -> Callable[[Event], Sentence]:
    return lambda event: Sentence("notice", "%s: %s" % (event["host"], text % event))


BY_EVENT: Dict[str, Callable[[Event], Sentence]] = {
    events.STOPPING: lambda event: stopping(event.get("why")),
    **dict.fromkeys(LINKS, lambda event: about_links(event["event"], [event["host"]])),
    events.LOST: _lost,
    events.SYNCED: synced,
    events.LOG_DEGRADED: _notice("the disk is full; output of %(log)s is lost"),
    events.FILES_SHORT: _notice("too few open files; the output of rank %(rank)s is in runner.*"),
    events.NO_DUMP: _notice("no stack traces, because py-spy is not installed"),
    events.IDLE: lambda event: Sentence("idle", "no output for %g s; stopping" % event["seconds"]),
}
