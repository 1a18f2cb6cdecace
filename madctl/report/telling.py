# SPDX-License-Identifier: Apache-2.0
"""The events of a run as a list of sentences with times, in the words of the screen. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._follow.verdict import GOING
from ansible_collections.madctl.multinode.plugins.module_utils._show import sentences, verdict_text
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count
from ansible_collections.madctl.multinode.plugins.module_utils._show.story import Output, Story
from madctl.records.run_story import Entry
from madctl.report import history
from madctl.report.facts import Facts

_MOST, _MOST_OF_RANKS = 200, 8
_FAILURES = (events.RANK_EXIT, events.EXEC_FAILED, events.RUNNER_EXIT)
_BAD = (events.LOST, events.START_FAILED, events.IDLE, *_FAILURES)


@dataclass(frozen=True)
class Happening:
    """One sentence: its time after the beginning, its stage, and whether it is about a failure."""

    after: float
    stage: str
    text: str
    is_bad: bool = False

    @property
    def when(self) -> str:
        """The time after the beginning: seconds, or like a clock if it is long."""
        if self.after < 99.995:
            return f"{self.after:.2f} s"
        hours, rest = divmod(int(self.after), 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def happenings(facts: Facts, entries: Sequence[Entry], began: float) -> tuple[list[Happening], int]:
    """Return what happened, in order, and the number of sentences that were left out."""
    found = list(_told(facts, entries, began))
    if facts.run["status"] not in GOING:
        ended = facts.run["ended"] or (entries[-1].at if entries else None)
        if ended is not None:
            word = verdict_text.whole({**facts.run, "cause": None})
            found.append(Happening(max(0.0, ended - began), "done", word, facts.run["status"] == "failed"))
    return [*found[: _MOST - 1], *found[-1:]] if len(found) > _MOST else found, max(0, len(found) - _MOST)


def _told(facts: Facts, entries: Sequence[Entry], began: float) -> Iterator[Happening]:
    story = Story(facts.record.targets["names"], Mask())
    plan = facts.record.plan
    story.begin({**plan, "nodes": plan["nodes"]})
    of_ranks = 0
    for entry in entries:
        event = dict(entry.event)
        kind, after = event["event"], max(0.0, entry.at - began)
        if kind == events.PLANNED:
            size = f"{count(len(plan['nodes']), 'node')}, {count(plan['world_size'], 'rank')}"
            yield Happening(after, "plan", size)
        elif kind in _FAILURES:
            text = _failure(event)
            of_ranks += bool(text)
            if text and of_ranks <= _MOST_OF_RANKS:
                yield Happening(after, "fail", text, True)
            elif of_ranks == _MOST_OF_RANKS + 1:
                of_ranks += 1
                yield Happening(after, "fail", "more ranks failed", True)
        else:
            if kind == events.RESTART:
                of_ranks = 0
            for told in _sentences(story, event):
                yield Happening(after, told.stage, told.text, kind in _BAD)


def _sentences(story: Story, event: dict[str, Any]) -> list[sentences.Sentence]:
    try:
        return [told for told in story.take(event) if not isinstance(told, Output)]
    except (KeyError, TypeError, ValueError):
        return []  # An entry from a damaged file may lack a field.


def _failure(event: Mapping[str, Any]) -> str:
    """Write how a rank or a runner failed; empty if it did not."""
    rank, host = event.get("rank"), event.get("host", "")
    if event["event"] == events.EXEC_FAILED:
        return f"{host} rank {rank} could not be started"
    if event["event"] == events.RANK_EXIT:
        return f"{host} rank {rank}: {history.ended(event)}" if history.rank_end(event) == history.FAILED else ""
    return f"{host}: runner: {history.ended(event)}" if event.get("exit_code") or event.get("signal") else ""
