# SPDX-License-Identifier: Apache-2.0
"""The job's own lines on the screen, and the last lines of each rank for the end of the run."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show import colours
from ansible_collections.madctl.multinode.plugins.module_utils._show.chosen import Chosen
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from ansible_collections.madctl.multinode.plugins.module_utils._show.story import Output, Source
from madctl.screen.lines import Line, Ticker, label, shortened
from madctl.screen.terminal import Stream

LAST_LINES = 20
LONGEST = 4096  # characters of a last line: twenty per rank are kept in memory
_WIDEST = 32


class JobOutput:
    """Writes new output of a run; callers hold the lock."""

    def __init__(self, stream: Stream, ticker: Ticker | None, hosts: Sequence[str], chosen: Chosen) -> None:
        """
        Prepare.

        Args:
            ticker: Folds equal lines, and passes them to ``write`` after a while; without it, they are written at once.
            chosen: Whose output to show.
        """
        self._stream, self._ticker, self._chosen = stream, ticker, chosen
        self._width = 0
        self.align(hosts)
        self._last: dict[Source, deque[str]] = defaultdict(lambda: deque(maxlen=LAST_LINES))

    def align(self, hosts: Sequence[str]) -> None:
        """Widen the column of host names, which are not yet known while a job waits."""
        self._width = max(self._width, max(map(len, hosts), default=0) + (5 if len(hosts) > 1 else 0))
        if self._ticker:
            self._width = max(self._width, min(_WIDEST, len(fold(hosts)) + 5))

    def show(self, output: Output) -> None:
        """Show output, and keep its last lines."""
        host, rank, texts, block, is_hidden = output
        source = (host, rank)
        if block is not None:
            texts = [line.decode() for line in block.rsplit(b"\n", LAST_LINES)]
        self._last[source].extend([shortened(colours.stripped(text), LONGEST) for text in texts[-LAST_LINES:]])
        if is_hidden or not self.is_shown(source):
            return
        if block is not None and not self._ticker:
            self._stream.block(self._label(label(source)), block)
        else:
            self.add(source, texts)

    def show_all(self, outputs: Iterable[Output]) -> None:
        """Show several pieces of output."""
        for output in outputs:
            self.show(output)

    def add(self, source: Source, texts: Sequence[str]) -> None:
        """Show lines, or states of an unfinished line."""
        if self._ticker:
            for text in texts:
                self._ticker.add(source, text)
        elif texts:
            self._stream.job(self._label(label(source)), texts)

    def is_shown(self, source: Source) -> bool:
        """Return whether the output of a source is shown."""
        return self._chosen.shows(*source)

    @property
    def is_chosen(self) -> bool:
        """Whether the user chose what to show."""
        return bool(self._chosen)

    def labelled(self, source: Source, text: str) -> str:
        """Return a line prefixed with its source."""
        return f"{self._label(label(source))} │ {text}"

    def write(self, line: Line) -> None:
        """Write a line that has waited long enough."""
        self._stream.job(self._label(line.label), [line.text])

    def last_lines(self, host: str, rank: int | None) -> Sequence[str]:
        """Return the last lines of a rank, or of the runner of a node."""
        return self._last[host, "" if rank is None else str(rank)]

    def forget(self, replaced: Mapping[str, str]) -> None:
        """Forget the last lines at a restart: the next failure has its own; show spares like the nodes they replace."""
        self._last.clear()
        self._chosen = self._chosen.after(replaced)

    def _label(self, text: str) -> str:
        return f"{plain(text):<{self._width}}"
