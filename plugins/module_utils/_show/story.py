# SPDX-License-Identifier: Apache-2.0
"""
The story of a run: from its events to sentences, each behind the stage that it belongs to, and to the job's own lines.

Every sentence is written here, once for madctl and for playbooks. Pure; private to the collection.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Set, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners, wire
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import Logs
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask, without_credentials
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold

Event = Dict[str, Any]
LINKS = (events.SUSPECT, events.BACK)
_RANK = "rank-"
# What torchrun prints first when a signal ends it.
_DYING = re.compile(r"Received \S+ death signal, shutting down workers")


class Sentence(NamedTuple):
    """What to tell of a stage."""

    stage: str
    text: str

    def __str__(self) -> str:
        """Write it as a line of the screen."""
        return "%-7s %s" % self


class Output(NamedTuple):
    """What is added to the logs of a rank, or of the runner of a node, whose rank is empty."""

    host: str
    rank: str
    texts: Sequence[str]
    block: Optional[bytes]  # instead of texts: lines that any terminal just shows
    is_hidden: bool


def answered(number: int) -> Sentence:
    """Tell how many nodes were probed."""
    return Sentence("probe", "%s answered" % count(number, "node"))


def installing(hosts: Sequence[str]) -> Sentence:
    """Tell where net-tools are installed before there can be a plan."""
    return Sentence("install", "net-tools on %s" % fold(hosts))


def planned(plan: Mapping[str, Any]) -> Sentence:
    """Tell the plan in a few words, its ranks as a sum of nodes with the same number."""
    counts = [node["nproc_per_node"] for node in plan["nodes"]]
    terms = " + ".join("%d × %s" % (counts.count(number), number) for number in dict.fromkeys(counts))
    interfaces = ", ".join(sorted({node["interface"] for node in plan["nodes"]}))
    where = "on %s, master %s:%s" % (interfaces, plan["master_addr"], plan["master_port"])
    return Sentence("plan", "%s = %s %s" % (terms, count(plan["world_size"], "rank"), where))


def attached(plan: Mapping[str, Any]) -> Sentence:
    """Tell that a run which began before is followed."""
    size = "%s, %s" % (count(plan["nnodes"], "node"), count(plan["world_size"], "rank"))
    return Sentence("attach", "%s: %s" % (plan["run_id"], size))


def interrupted(order: bytes, is_running: bool) -> Sentence:
    """Tell what follows from a Ctrl-C, or from the end of the terminal."""
    texts = {
        wire.STOP: "stopping; press Ctrl-C again to kill",
        wire.KILL: "killing; press Ctrl-C again to detach",
        wire.DETACH: "detaching; the run continues" if is_running else "leaving before the start",
    }
    return Sentence("stop", texts[order])


def about_links(kind: str, hosts: Sequence[str]) -> Sentence:
    """Tell that hosts fell silent, or answer again."""
    does, is_ = ("does", "is") if len(hosts) == 1 else ("do", "are")
    text = "%s not answer; the run continues, retrying" % does if kind == events.SUSPECT else "%s back" % is_
    return Sentence("link", "%s %s" % (fold(hosts), text))


def _lost(event: Event) -> Sentence:
    reason = event.get("message")
    return Sentence("lost", "%s is lost%s" % (event["host"], ": %s" % reason if reason else ""))


def _notice(text: str) -> Callable[[Event], Sentence]:
    return lambda event: Sentence("notice", "%s: %s" % (event["host"], text % event))


_SENTENCES: Dict[str, Callable[[Event], Sentence]] = {
    events.STOPPING: lambda _: Sentence("stop", "stopping all nodes"),
    **dict.fromkeys(LINKS, lambda event: about_links(event["event"], [event["host"]])),
    events.LOST: _lost,
    events.LOG_DEGRADED: _notice("the disk is full; output of %(log)s is lost"),
    events.FILES_SHORT: _notice("too few open files; the output of rank %(rank)s is in runner.*"),
    events.NO_DUMP: _notice("no stack traces, because py-spy is not installed"),
    events.IDLE: lambda event: Sentence("idle", "no output for %g s; stopping" % event["seconds"]),
}


class Story:
    """Turns the events of one run into sentences and output; knows who takes part, and how far they have come."""

    def __init__(self, hosts: Sequence[str], mask: Mask, is_attached: bool = False) -> None:
        """
        Begin.

        Args:
            is_attached: Whether the run began before: then nothing is told of its start.
        """
        self.hosts = list(hosts)
        self.is_attached = is_attached
        self.world_size: Optional[int] = None
        self._job = runners.UNKNOWN
        self._logs = Logs(mask)
        self._counts: Dict[str, int] = {}
        self._is_stopping = False
        self._ending: Set[str] = set()

    @property
    def nodes(self) -> str:
        """How many nodes take part."""
        return count(len(self.hosts), "node")

    @property
    def is_running(self) -> bool:
        """Whether any node has started."""
        return self.is_attached or events.STARTED in self._counts

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take the plan, which has no spares, and may lack some of it if a run is known by its nodes alone."""
        self.hosts = [node["host"] for node in plan["nodes"]]
        self._job, self.world_size = runners.job_of(plan.get("shape", ""), plan.get("runner")), plan.get("world_size")

    def take(self, event: Event, payload: bytes = b"", in_blocks: bool = False) -> Iterator[Union[Sentence, Output]]:
        """
        Yield what to show of an event.

        Args:
            in_blocks: Whether output may come as a whole where no line of it must be inspected.
        """
        kind, host = event["event"], event.get("host", "")
        if kind == events.LOG:
            in_blocks = in_blocks and not self._job.has_models and not self._is_of_runner(event["log"])
            block = self._logs.block(host, event["log"], payload) if in_blocks else None
            texts = self._logs.feed(host, event["log"], payload) if block is None else ()
            yield self._output(host, event["log"], texts, block)
        elif kind == events.SKIPPED:
            yield self._output(host, event["log"], self._logs.gap(host, event["log"], event["size"]))
        else:
            if kind in (events.EXIT, events.LOST, events.RESTART):
                yield from self.end(host or None)
            sentence = self._sentence(kind, event)
            if sentence:
                yield sentence

    def end(self, only: Optional[str] = None) -> Iterator[Output]:
        """Yield what no newline has ended, of one host or of all."""
        for host, log, text in self._logs.end(only):
            yield self._output(host, log, [text])

    def _output(self, host: str, log: str, texts: Sequence[str], block: Optional[bytes] = None) -> Output:
        rank = log.partition(".")[0][len(_RANK) :] if log.startswith(_RANK) else ""
        if self._job.has_models:
            texts = [without_credentials(text) for text in texts]
        # What the runner prints while it is stopped would bury the cause; the files keep it.
        is_hidden = self._is_stopping and self._job.hides_stop and not rank
        if self._is_of_runner(log):
            texts = self._without_end(host, texts)
        return Output(host, rank, texts, block, is_hidden)

    def _is_of_runner(self, log: str) -> bool:
        return self._job.hides_stop and not log.startswith(_RANK)

    def _without_end(self, host: str, texts: Sequence[str]) -> Sequence[str]:
        """Leave out what torchrun prints after it got a signal: a traceback of its own handler, whoever stopped it."""
        if host in self._ending:
            return ()
        at = next((at for at, text in enumerate(texts) if _DYING.search(text)), None)
        if at is None:
            return texts
        self._ending.add(host)
        return texts[: at + 1]

    def _sentence(self, kind: str, event: Event) -> Optional[Sentence]:
        if kind in (events.PROBED, events.READY, events.STARTED, events.JOINED):
            return self._counted(kind, event.get("answered", True))
        if kind == events.RESTART:
            return self._restarted(event)
        self._is_stopping = self._is_stopping or kind == events.STOPPING
        return _SENTENCES[kind](event) if kind in _SENTENCES else None

    def _counted(self, kind: str, has_passed: bool) -> Optional[Sentence]:
        self._counts[kind] = number = self._counts.get(kind, 0) + has_passed
        if self.is_attached or number != (self.world_size if kind == events.JOINED else len(self.hosts)):
            return None
        sentences = {
            events.PROBED: answered(number),
            events.READY: Sentence("arm", "%s ready" % self.nodes),
            events.STARTED: Sentence("go", "started on %s" % self.nodes),
            events.JOINED: Sentence("ranks", "all %d joined" % number if number > 1 else "1 rank joined"),
        }
        return sentences[kind]

    def _restarted(self, event: Event) -> Sentence:
        replaced = event.get("replaced") or {}
        self.hosts = [replaced.get(host, host) for host in self.hosts]
        self._is_stopping = False
        self._ending.clear()
        self._counts.clear()
        name = ": run %s" % event["plan"]["run_id"] if event.get("plan") else ""
        changes = ["%s replaces %s" % (new, old) for old, new in replaced.items()]
        return Sentence("restart", ", ".join(["%s of %s%s" % (event["attempt"], event["of"], name), *changes]))
