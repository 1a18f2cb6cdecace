# SPDX-License-Identifier: Apache-2.0
"""Format how a run ended: the first failure, ranks that lost a peer, the duration, the place of the logs. Pure."""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold
from ansible_collections.madctl.multinode.plugins.module_utils._show.sentences import Sentence
from ansible_collections.madctl.multinode.plugins.module_utils._show.story import Story
from ansible_collections.madctl.multinode.plugins.module_utils._show.verdict_text import duration

SUCCEEDED = "succeeded"
_OUTCOMES = {"RUN_STOPPED": "stopped", "INTERRUPTED": "interrupted", "TIMED_OUT": "timed out"}


def outcome(codes: Sequence[str]) -> str:
    """Return how a run ended, in one word, from the codes of its problems."""
    return _OUTCOMES.get(codes[0], "failed") if codes else SUCCEEDED


def block(what: str, host: str, rank: Any, lines: Iterable[str]) -> List[str]:
    """Format lines that a rank, or the runner of a node, left: indented, below a heading."""
    of_rank = " rank %s" % rank if rank is not None else ""
    return ["", "%s of %s%s:" % (what, host, of_rank), *("  " + text for text in lines)]


def ending(how: str, story: Story, found: Mapping[str, Any], logs: str = "") -> List[str]:
    """
    Format the last lines of a run.

    Args:
        how: How it ended, in one word.
        found: The follower's findings; ``victims`` counts the ranks of each host that lost a peer.
        logs: The command that shows the output of a run that failed.
    """
    victims = {host: number for host, number in (found.get("victims") or {}).items() if number}
    many = sum(victims.values())
    lost = "%s then lost %s" % (count(many, "rank"), "its peer" if many == 1 else "their peers")
    lines = ["%s: %s" % (fold(list(victims)), lost)] if victims else []
    after = duration(found.get("duration_seconds") or 0.0)
    attempt = ", attempt %d" % found["attempts"] if found.get("attempts", 1) > 1 else ""
    joined = found.get("ranks_joined")
    # Scripts of models may start ranks without our runner.
    is_left_out = joined is None or not joined and story.has_models
    ranks = "" if is_left_out else ", %s of %s joined" % (joined, count(story.world_size or 0, "rank"))
    lines.append(str(Sentence("done", "%s after %s on %s%s%s" % (how, after, story.nodes, attempt, ranks))))
    if how != SUCCEEDED and logs:
        lines.append(str(Sentence("logs", logs)))
    return lines
