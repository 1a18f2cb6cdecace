# SPDX-License-Identifier: Apache-2.0
"""``madctl top``: show the resource usage of a run on its nodes, and which ranks lag behind."""

from __future__ import annotations

import argparse
from typing import Any

from madctl.errors import ExitCode, of_signal
from madctl.request.options import add_command, add_output_option, add_run_argument

# How long ``--once`` waits for slow nodes; and how often the screen is redrawn.
_ONCE_SECONDS, _DRAW_SECONDS = 25.0, 0.25


def register(commands: Any) -> None:
    """Add the command to the parser."""
    about = (
        "Show what a run uses on each of its nodes: processors, memory, GPUs; how long ago each rank printed "
        "something; and which ranks lag behind the others. For a run that has ended, show the last samples."
    )
    examples = [
        ("watch the latest run", "madctl top"),
        ("print one sample for a script", "madctl top --once --output json"),
    ]
    parser = add_command(commands, "top", run, "show what a run uses, and which ranks lag", about, examples)
    add_run_argument(parser)
    what = "print one sample and exit; the default if the output is not a terminal, or is JSON"
    parser.add_argument("--once", action="store_true", help=what)
    add_output_option(parser)


def run(options: argparse.Namespace) -> int:
    """Draw samples until a key is pressed or the run ends, or print one; return 4 when a node never answered."""
    from madctl.playbook import sampled
    from madctl.records import record_store
    from madctl.screen.terminal import OUT

    record = record_store.load(options.run_id)
    with sampled.source(record) as source:
        title = f"run {record.run_id}" + (f" ({record.name})" if record.name else "")
        if options.once or options.output == "json" or not OUT.can_draw():
            return _once(options, record.run_id, title, source)
        return _watch(title, source)


def _once(options: argparse.Namespace, run_id: str, title: str, source: Any) -> int:
    from ansible_collections.madctl.multinode.plugins.module_utils._show import colours, lagging
    from madctl.result import to_problem
    from madctl.screen import top_screen
    from madctl.screen.problems import print_answer
    from madctl.screen.terminal import OUT

    source.loop.until(lambda: source.is_settled, _ONCE_SECONDS)
    nodes = source.nodes
    odd = lagging.judge(lagging.ranks_of(top_screen.samples(nodes)))
    problems = [to_problem(dict(node.problem)) for node in nodes.values() if node.problem is not None]
    lines = top_screen.lines(title, nodes, odd, source.loop.time(), (OUT.width(), None))
    data = {"run_id": run_id, "is_over": source.is_over, "nodes": top_screen.data(nodes, odd)}
    return print_answer(options, run_id, data, [*map(colours.stripped, lines)], problems)


def _watch(title: str, source: Any) -> int:
    from madctl.screen.keys import Keys
    from madctl.screen.terminal import OUT
    from madctl.screen.top_screen import TopScreen

    screen = TopScreen(OUT, title)
    with Keys() as keys:
        if keys.descriptor is not None:
            source.loop.watch(keys.descriptor, keys.read)
        try:
            while not keys.is_leaving and not source.is_over and not OUT.reader_gone:
                screen.take(source.nodes, source.loop.time())
                screen.draw(source.nodes, source.loop.time())
                source.loop.turn(_DRAW_SECONDS)
        finally:
            screen.leave(source.nodes, source.loop.time())
    return of_signal(keys.ended_by) if keys.ended_by else ExitCode.SUCCEEDED
