# SPDX-License-Identifier: Apache-2.0
"""How a run ended, as lines: what failed first, who lost a peer, how long it took, where its logs are. Pure."""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count, fold
from ansible_collections.madctl.multinode.plugins.module_utils._show.story import Sentence, Story

SUCCEEDED = "succeeded"
_OUTCOMES = {"RUN_STOPPED": "stopped", "INTERRUPTED": "interrupted", "TIMED_OUT": "timed out"}


def outcome(codes: Sequence[str]) -> str:
    """Return how a run ended, in a word, from the codes of its problems."""
    return _OUTCOMES.get(codes[0], "failed") if codes else SUCCEEDED


def block(what: str, host: str, rank: Any, lines: Iterable[str]) -> List[str]:
    """Write lines that a rank, or the runner of a node, left: indented, below a heading."""
    of_rank = " rank %s" % rank if rank is not None else ""
    return ["", "%s of %s%s:" % (what, host, of_rank), *("  " + text for text in lines)]


def ending(how: str, story: Story, found: Mapping[str, Any]) -> List[str]:
    """
    Write the last lines of a run.

    Args:
        how: How it ended, in a word.
        found: What the follower found out; ``victims`` counts the ranks of each host that lost a peer, and ``logs``
            says how to see the logs where nobody reaches the nodes.
    """
    victims = {host: number for host, number in (found.get("victims") or {}).items() if number}
    many = sum(victims.values())
    lost = "%s then lost %s" % (count(many, "rank"), "its peer" if many == 1 else "their peers")
    lines = ["%s: %s" % (fold(list(victims)), lost)] if victims else []
    after = "" if story.is_attached else " after %.1f s" % found.get("duration_seconds", 0.0)
    joined = found.get("ranks_joined")
    ranks = "" if joined is None else ", %s of %s joined" % (joined, count(story.world_size or 0, "rank"))
    lines.append(str(Sentence("done", "%s%s on %s%s" % (how, after, story.nodes, ranks))))
    if how != SUCCEEDED:
        on_nodes = "%s/%s on each node" % (found["nodes"][0]["run_dir"], run_directory.LOGS)
        lines.append(str(Sentence("logs", found.get("logs") or on_nodes)))
    return lines
