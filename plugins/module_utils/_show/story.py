# SPDX-License-Identifier: Apache-2.0
"""
The story of a run: turns its events into sentences, each after the name of its stage, and into the job's own lines.

Pure; private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common import events, runners
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences
from ansible_collections.madctl.multinode.plugins.module_utils._show.job_lines import Logs
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask, without_credentials
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count
from ansible_collections.madctl.multinode.plugins.module_utils._show.runner_end import RunnerEnd
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import BY_EVENT, LINKS, Event, Sentence

_RANK = "rank-"
_ORDERED = ("INTERRUPTED", "RUN_STOPPED")
# Lines of a job are held until it is reported that it starts, or does not.
_HELD_BYTES = 1 << 20
_ENDS_HOLDING = (*LINKS, events.STOPPING, events.START_FAILED, events.EXIT, events.LOST, events.RESTART)

Source = Tuple[str, str]  # host, and rank or nothing


class Output(NamedTuple):
    """Additions to the logs of a rank, or of the runner of a node, whose rank is empty."""

    host: str
    rank: str
    texts: Sequence[str]
    block: Optional[bytes]  # instead of texts: lines that any terminal just shows
    is_hidden: bool


def _rank_of(log: str) -> str:
    return log.partition(".")[0][len(_RANK) :] if log.startswith(_RANK) else ""


class Story:
    """Turns the events of one run into sentences and output; knows the participants, and how far they have got."""

    def __init__(
        self,
        hosts: Sequence[str],
        mask: Mask,
        is_attached: bool = False,
        with_colours: bool = False,
        wants_ranks: bool = False,
        hears_signals: bool = False,
    ) -> None:
        """
        Begin.

        Args:
            is_attached: Whether the run began earlier: then its start is not reported.
            with_colours: Whether the job's lines keep their colours.
            wants_ranks: Whether the user has chosen ranks.
            hears_signals: Whether interrupts are reported from elsewhere, perhaps a moment later.
        """
        self._wants_ranks, self._hears_signals = wants_ranks, hears_signals
        self.hosts = list(hosts)
        self.is_attached = is_attached
        self.world_size: Optional[int] = None
        self._job = runners.UNKNOWN
        self._logs = Logs(mask, with_colours)
        self._counts: Dict[str, int] = {}
        self._is_stopping = False
        # Whether a signal has explained why the run is stopped.
        self.is_interrupted = False
        self._is_holding = False
        self._held: List[Tuple[Event, bytes]] = []
        self._held_bytes = 0
        self._end = RunnerEnd()

    @property
    def nodes(self) -> str:
        """How many nodes take part."""
        return count(len(self.hosts), "node")

    @property
    def has_models(self) -> bool:
        """Whether madengine runs models."""
        return self._job.has_models

    @property
    def is_running(self) -> bool:
        """Whether any node has started."""
        return self.is_attached or events.STARTED in self._counts

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Take the plan, which has no spares, and may be incomplete if only the nodes know the run."""
        self.hosts = [node["host"] for node in plan["nodes"]]
        # The scheduler may have started the run again.
        self._is_stopping, self._is_holding = False, True
        self._counts.clear()
        self._job, self.world_size = runners.job_of(plan.get("shape", ""), plan.get("runner")), plan.get("world_size")

    def take(self, event: Event, payload: bytes = b"", in_blocks: bool = False) -> Iterator[Union[Sentence, Output]]:
        """
        Yield what to show of an event.

        Args:
            in_blocks: Whether output may be shown as a whole if no line of it must be inspected.
        """
        kind = event["event"]
        if kind in (events.LOG, events.SKIPPED):
            if not self._holds(event, payload):
                # A bar that has ended was printed before the new output of the same rank.
                for host, log, texts in self._logs.settle_beside(event["host"], event["log"]):
                    yield self._output(host, log, texts)
                yield self._log(event, payload, in_blocks)
            elif self._held_bytes > _HELD_BYTES:
                yield from self._release(in_blocks)
            return
        if kind == events.EXIT and event.get("exit_code") == 0 and self._holds(event, b""):
            return  # A short job may have ended on one node before it has started on another.
        if kind in _ENDS_HOLDING:
            yield from self._release(in_blocks)
        if kind in (events.EXIT, events.LOST, events.RESTART):
            yield from self.end(event.get("host"))
        sentence = self._sentence(kind, event)
        if sentence:
            yield sentence
        if kind == events.STARTED and self._counts[kind] == len(self.hosts):
            yield from self._release(in_blocks)

    def _holds(self, event: Event, payload: bytes) -> bool:
        """Hold output until the start of the job is reported, and return whether that is necessary."""
        if not self._is_holding or self.is_attached:
            return False
        self._held.append((event, payload))
        self._held_bytes += len(payload)
        return True

    def _release(self, in_blocks: bool = False) -> Iterator[Output]:
        held, self._held, self._held_bytes, self._is_holding = self._held, [], 0, False
        for event, payload in held:
            if event["event"] == events.EXIT:
                yield from self.end(event.get("host"))
            else:
                yield self._log(event, payload, in_blocks)

    def settle(self) -> Iterator[Output]:
        """Yield lines that waited for a cursor to come back; call it now and then while not ``is_settled``."""
        for host, log, texts in self._logs.settle():
            yield self._output(host, log, texts)

    @property
    def is_settled(self) -> bool:
        """Whether no line waits for a cursor to come back."""
        return self._logs.is_settled

    def unfinished(self, is_wanted: Callable[[Source], bool]) -> Iterator[Tuple[Source, str]]:
        """Yield what may still change in the logs of some sources: progress bars, prompts."""

        def shows(host: str, log: str) -> bool:
            return not self._is_of_runner(log) and is_wanted((host, _rank_of(log)))

        for host, log, text in self._logs.unfinished(shows):
            output = self._output(host, log, [text])
            if not output.is_hidden:
                yield (host, output.rank), output.texts[0]

    def leads(self, source: Source) -> bool:
        """Return whether a source represents the whole job: rank 0, or the first node's command or models."""
        return source[1] == "0" if self._job.counts_ranks else source == (self.hosts[0] if self.hosts else "", "")

    def end(self, only: Optional[str] = None) -> Iterator[Output]:
        """Yield incomplete lines, of one host or of all."""
        if only is None:
            yield from self._release()
        for host, log, text in self._logs.end(only):
            yield self._output(host, log, [text])

    def _log(self, event: Event, payload: bytes, in_blocks: bool) -> Output:
        host, log = event["host"], event["log"]
        if event["event"] == events.SKIPPED:
            return self._output(host, log, self._logs.gap(host, log, event["size"]))
        block = self._logs.block(host, log, payload) if in_blocks and not self._is_inspected(log) else None
        return self._output(host, log, self._logs.feed(host, log, payload) if block is None else (), block)

    def _output(self, host: str, log: str, texts: Sequence[str], block: Optional[bytes] = None) -> Output:
        rank = _rank_of(log)
        if self._job.has_models:
            texts = [without_credentials(text) for text in texts]
        # The output of the runner while it is stopped would bury the cause; the files keep it.
        is_hidden = self._is_stopping and self._job.hides_stop and not rank
        # madengine prints the output of a model's ranks.
        is_hidden = is_hidden or self._job.has_models and bool(rank) and not self._wants_ranks
        if self._is_of_runner(log):
            texts = self._end.without(host, texts)
        return Output(host, rank, texts, block, is_hidden)

    def _is_inspected(self, log: str) -> bool:
        return self._job.has_models or self._is_of_runner(log)

    def _is_of_runner(self, log: str) -> bool:
        return self._job.hides_stop and not log.startswith(_RANK)

    def _sentence(self, kind: str, event: Event) -> Optional[Sentence]:
        if kind in (events.PROBED, events.READY, events.STARTED, events.JOINED):
            return self._counted(kind, event.get("answered", True))
        if kind == events.RESTART:
            return self._restarted(event)
        if kind == events.STOPPING:
            self._is_stopping = True
            code = (event.get("why") or {}).get("code")
            if self.is_interrupted and code in _ORDERED or self._hears_signals and code == _ORDERED[0]:
                return None
        return BY_EVENT[kind](event) if kind in BY_EVENT else None

    def _counted(self, kind: str, has_passed: bool) -> Optional[Sentence]:
        self._counts[kind] = number = self._counts.get(kind, 0) + has_passed
        if (
            self.is_attached
            or not has_passed
            or number != (self.world_size if kind == events.JOINED else len(self.hosts))
        ):
            return None
        found = {
            events.PROBED: sentences.answered(number),
            events.READY: sentences.ready(self.nodes),
            events.STARTED: sentences.started(self.nodes),
            events.JOINED: sentences.joined(number),
        }
        return found[kind]

    def _restarted(self, event: Event) -> Sentence:
        replaced = event.get("replaced") or {}
        self.hosts = [replaced.get(host, host) for host in self.hosts]
        self._is_stopping, self._is_holding = False, True
        self._end.forget()
        self._counts.clear()
        return sentences.restarted(event)
