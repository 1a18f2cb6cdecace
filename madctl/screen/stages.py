# SPDX-License-Identifier: Apache-2.0
"""Nodes × stage on a terminal while a run starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain


class StageTable:
    """Nodes × stage on a terminal, redrawn in place; at most ``ROWS`` nodes are shown one by one."""

    ROWS = 32

    def __init__(self, names: Sequence[str], stages: Sequence[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._stages = stages
        self._passed: dict[str, dict[str, bool]] = {name: {} for name in names}
        console = Console(stderr=True, highlight=False)
        self._live = Live(self._render(), console=console, refresh_per_second=8, transient=True)
        self._live.start()

    def mark(self, host: str, stage: str, passed: bool) -> None:
        """Note that a node passed a stage, or did not."""
        self._passed.setdefault(host, {})[stage] = passed
        self._live.update(self._render())

    def write(self, line: str) -> None:
        """Write a line above the table."""
        self._live.console.print(plain(line), markup=False)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _render(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        signs = {None: Text("·"), True: Text("✓", style="green"), False: Text("✗", style="red")}
        table = Table(box=None, pad_edge=False)
        for title in ("node", *self._stages):
            table.add_column(title)
        unfinished = [name for name, stages in self._passed.items() if len(stages) < len(self._stages)]
        for name in (unfinished or list(self._passed))[: self.ROWS]:
            table.add_row(Text(plain(name)), *(signs[self._passed[name].get(stage)] for stage in self._stages))
        return table
