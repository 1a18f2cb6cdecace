# SPDX-License-Identifier: Apache-2.0
"""
Tables of a run's resource usage, per node and per rank, no larger than a screen. Pure; private to the collection.

If there is no room for all rows, those that lag or do not answer come first, and a line says how many are left out. If
a line is too narrow, the least important columns are dropped.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import usage
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._show import columns
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import count

# The mark of what lags: a colour alone means nothing to many people, and nothing in a file.
SIGN = "!"
_UNKNOWN = "-"
_GIB = 1 << 30
# The columns that are dropped first if there is no room; the others stay.
_NODES_LEAST = ("TEMP", "POWER", "GPU MEMORY", "MEMORY", "CPU")
_RANKS_LEAST = ("PROCESSES", "MEMORY", "CPU", "NODE")
_LEAST_ROWS = 3
# This many columns of a note are worth more than another number.
_NOTE = 14
# Percent by which the GPUs of a node may differ and still be shown as one number.
_ALIKE = 20.0

Row = Dict[str, str]
Name = Tuple[str, int]


class Node(NamedTuple):
    """What is known about a node: its last sample, and a few words, such as why there is no newer one."""

    host: str
    sample: Optional[Mapping[str, Any]]
    note: str
    is_odd: bool


def lines(
    nodes: Sequence[Node], lagging: Mapping[Name, Sequence[str]], width: Optional[int], height: Optional[int]
) -> List[str]:
    """
    Format the tables.

    Args:
        nodes: In their order.
        lagging: In which respects ranks lag.
        width: The columns of the screen, None for any number.
        height: Its lines, likewise.
    """
    hosts = {host for host, _ in lagging}
    of_nodes = [(_node_row(node, node.host in hosts), node.is_odd or node.host in hosts) for node in nodes]
    of_ranks = [
        (_rank_row(node, int(rank), lagging), (node.host, int(rank)) in lagging)
        for node in nodes
        for rank in (node.sample or {"ranks": {}})["ranks"]
    ]
    of_ranks.sort(key=lambda entry: int(entry[0]["RANK"].rpartition(" ")[2]))
    rooms = _rooms(len(of_nodes), len(of_ranks), height)
    found = _table(of_nodes, rooms[0], "node", _NODES_LEAST, width)
    if of_ranks and rooms[1]:
        found += ["", *_table(of_ranks, rooms[1], "rank", _RANKS_LEAST, width)]
    return found


def _rooms(nodes: int, ranks: int, height: Optional[int]) -> Tuple[int, int]:
    """Divide the lines of a screen between the rows of nodes and those of ranks."""
    if height is None:
        return nodes, ranks
    # Each table has a heading, and may end with a line about what is left out; an empty line separates them.
    room = height - (3 if not ranks else 5)
    if nodes + ranks <= room + 2:
        return nodes, ranks
    of_nodes = min(nodes, max(_LEAST_ROWS, room // 2 if ranks else room, room - ranks))
    return of_nodes, max(0, room - of_nodes)


def _table(
    rows: Sequence[Tuple[Row, bool]], room: int, noun: str, least: Sequence[str], width: Optional[int]
) -> List[str]:
    shown = list(rows)
    if len(shown) > room:
        # The sort keeps the order of equal rows.
        shown = sorted(shown, key=lambda entry: not entry[1])[:room]
    names = [name for name in rows[0][0] if name == "NODE" or any(row[name] not in (_UNKNOWN, "") for row, _ in rows)]
    cells = [[names, *([row[name] for name in names] for row, _ in shown)]]
    if width is not None:
        for name in least:
            if _width(cells[-1]) > width and name in names and names[0] != name:
                names = [one for one in names if one != name]
                cells.append([names, *([row[one] for one in names] for row, _ in shown)])
    colours = {row["NOTE"]: columns.YELLOW for row, is_odd in shown if is_odd and row["NOTE"]}
    free = [at for at, name in enumerate(names) if name in ("NODE", "NOTE")] or [0]
    found = columns.fitted(cells[-1], width, free=free, colours=colours)
    left = len(rows) - len(shown)
    more = "and %s" % count(left, "more " + noun)
    return found + ([more if width is None else columns.cut(more, width)] if left else [])


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Return how many columns of a screen rows need; a long note is cut before a column is dropped."""
    widths = [max(columns.width(plain(row[at])) for row in rows) for at in range(len(rows[0]))]
    return (
        sum(min(wide, _NOTE) if name == "NOTE" else wide for wide, name in zip(widths, rows[0])) + 2 * len(widths) - 2
    )


def _node_row(node: Node, lags: bool) -> Row:
    sample = node.sample
    note = SIGN + " " + node.note if node.is_odd and node.note else node.note
    lag = [SIGN + " a rank lags"] if lags and not node.is_odd else []
    row = dict.fromkeys(("NODE", "CPU", "MEMORY", "GPU", "GPU MEMORY", "POWER", "TEMP", "OUTPUT"), _UNKNOWN)
    row.update({"NODE": node.host, "NOTE": ", ".join([*lag, *([note] if note else [])])})
    if sample is None:
        return row
    gpus = sample["gpus"]
    temperatures = _known(gpus, "temperature_celsius")
    watts = _known(gpus, "power_watts")
    row["CPU"] = _percent(sample["cpu_percent"])
    row["MEMORY"] = _part(sample["memory_bytes"], sample["memory_total_bytes"])
    row["GPU"] = _busy(_known(gpus, "busy_percent"))
    row["GPU MEMORY"] = _part(_total(_known(gpus, "memory_bytes")), _total(_known(gpus, "memory_total_bytes")))
    row["POWER"] = "%.0f W" % sum(watts) if watts else _UNKNOWN
    row["TEMP"] = "%.0f °C" % max(temperatures) if temperatures else _UNKNOWN
    row["OUTPUT"] = _age(sample["job"])
    return row


def _rank_row(node: Node, rank: int, lagging: Mapping[Name, Sequence[str]]) -> Row:
    assert node.sample is not None
    known, odd = node.sample["ranks"][str(rank)], lagging.get((node.host, rank), ())
    has_ended = known["has_ended"]
    return {
        "RANK": "%s %d" % (SIGN, rank) if odd else str(rank),
        "NODE": node.host,
        "CPU": _UNKNOWN if has_ended else _percent(known["cpu_percent"]),
        "MEMORY": _UNKNOWN if has_ended else _gib(known["memory_bytes"]),
        "GPU": _percent(usage.gpu_percent(node.sample, rank)),
        "PROCESSES": _UNKNOWN if has_ended else str(known["processes"]),
        "OUTPUT": _age(known),
        "NOTE": "%s lags: %s" % (SIGN, ", ".join(odd)) if odd else "ended" if has_ended else "",
    }


def _known(gpus: Sequence[Mapping[str, Any]], name: str) -> List[float]:
    return [gpu[name] for gpu in gpus if gpu[name] is not None]


def _busy(values: Sequence[float]) -> str:
    """Format how busy GPUs are: the average, or the range if they differ, because seven busy ones hide an idle one."""
    if not values:
        return _UNKNOWN
    if max(values) - min(values) > _ALIKE:
        return "%.0f-%.0f%%" % (min(values), max(values))
    return _percent(sum(values) / len(values))


def _total(values: Sequence[float]) -> Optional[float]:
    return sum(values) if values else None


def _percent(value: Optional[float]) -> str:
    return _UNKNOWN if value is None else "%.0f%%" % value


def _gib(value: Optional[float]) -> str:
    if value is None:
        return _UNKNOWN
    return "%.0f GiB" % (value / _GIB) if value >= 10 * _GIB else "%.1f GiB" % (value / _GIB)


def _part(value: Optional[float], total: Optional[float]) -> str:
    if value is None or not total:
        return _gib(value)
    return "%s/%s" % (_gib(value).partition(" ")[0], _gib(total))


def _age(load: Mapping[str, Any]) -> str:
    """Format how long ago there was output."""
    seconds = load["output_age_seconds"]
    if seconds is None:
        return "none"
    if seconds < 120:
        return "%.0f s" % seconds
    return "%.0f min" % (seconds / 60) if seconds < 7200 else "%.0f h" % (seconds / 3600)
