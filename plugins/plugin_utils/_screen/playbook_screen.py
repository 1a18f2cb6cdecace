# SPDX-License-Identifier: GPL-3.0-or-later
"""
What a playbook says beside Ansible's own lines: the story as madctl tells it, and the job's lines.

Where the callback ``madctl.multinode.live`` listens, it gets all of it, and what happens on each node
besides; else lines go to Ansible's display.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    codes,
    events,
    plain_text,
    raw_words,
    run_directory,
    runners,
    unix_sockets,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._request import playbook_variables
from ansible_collections.madctl.multinode.plugins.module_utils._show import (
    check_table,
    job_lines,
    masking,
    timing_table,
)

LIVE_SOCKET = "MADCTL_LIVE_SOCKET"
_HIDDEN = "***"
_LINES_AT_ONCE, _CHARACTERS_AT_ONCE = 1000, 1 << 16
_ENDED = {"RUN_STOPPED": "stopped", "INTERRUPTED": "interrupted", "TIMED_OUT": "timed out"}
_live: dict[int, socket.socket] = {}
# An action tells its story while a thread of its own tells what happens on nodes.
_speaking = threading.Lock()


def send(event: dict[str, Any]) -> bool:
    """Send an event to the callback that draws; False where there is none."""
    path, own = os.environ.get(LIVE_SOCKET), os.getpid()
    if not path:
        return False
    with _speaking:
        if own not in _live:
            _live[own] = unix_sockets.connect(path)
        try:
            _live[own].sendall(wire.encode(event))
        except OSError:
            pass  # It has gone; so has the screen.
    return True


def say(lines: Iterable[str], is_job: bool = False) -> None:
    """Show texts as one line each, whatever is in them; ``is_job`` where they are the job's own."""
    waiting = [plain_text.plain(line, job_lines.KEPT if is_job else "") for line in lines]
    while waiting:
        # A message has a bound, and a job may say much at once.
        text = "\n".join(waiting[:_LINES_AT_ONCE])
        for piece in (text[at : at + _CHARACTERS_AT_ONCE] for at in range(0, len(text), _CHARACTERS_AT_ONCE)):
            if not send({"event": events.TEXT, "text": piece, "job": is_job}):
                Display().display(piece)
        del waiting[:_LINES_AT_ONCE]


def tell(stage: str, text: str) -> None:
    """Show a line of the story."""
    say(["%-7s %s" % (stage, text)])


def line(entry: codes.Problem) -> str:
    """Write one problem as a role's message: code, host, cause, and a remedy in the words of playbooks."""
    return codes.line({**entry, "remedy": playbook_variables.in_words_of_playbooks(entry["remedy"] or "")})


def lines(found: Sequence[codes.Problem]) -> list[str]:
    """Write problems, one line for all hosts that have the same."""
    alike: dict[tuple[str, ...], list[codes.Problem]] = {}
    for entry in found:
        host = entry["host"]
        texts = (entry["message"], entry["remedy"] or "")
        common = [re.sub(r"(?<![\w.-])%s(?![\w-])" % re.escape(host), "HOST", text) if host else text for text in texts]
        alike.setdefault((entry["code"], *common), []).append(entry)
    return [
        line(entries[0])
        if len(entries) == 1
        else line({"code": code, "host": _hosts(entries), "message": message, "remedy": remedy})
        for (code, message, remedy), entries in alike.items()
    ]


def _hosts(found: Sequence[codes.Problem]) -> str:
    return check_table.fold([entry["host"] for entry in found if entry["host"]])


def problems(found: Sequence[codes.Problem]) -> None:
    """Show problems, one line for all hosts that have the same."""
    say(lines(found))


def notices(found: Sequence[codes.Problem]) -> None:
    """Show what was noticed and stands against nothing."""
    for text in lines(found):
        tell("notice", text)


def message(found: Sequence[codes.Problem]) -> str:
    """Write what a task fails with that has shown nothing before."""
    return "\n".join(lines(found))


def refusal(found: Sequence[codes.Problem]) -> AnsibleActionFail:
    """Give the error of a task that looked at no node; a traceback would say nothing more."""
    error = AnsibleActionFail(message(found))
    error.result.pop("exception", None)
    return error


def summary(found: Sequence[codes.Problem]) -> str:
    """Write what a task fails with where ``problems`` has shown causes and remedies: codes and hosts."""
    order = dict.fromkeys(entry["code"] for entry in found)
    hosts = {code: _hosts([entry for entry in found if entry["code"] == code]) for code in order}
    return ", ".join("%s: %s" % pair if pair[1] else pair[0] for pair in hosts.items()) + "; causes are above"


def refuse(found: Sequence[codes.Problem]) -> None:
    """Fail with what was found, if anything was."""
    if found:
        raise refusal(found)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Show rows in columns, all but the last as wide as they need."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]]).rstrip() for row in rows)


def nodes(count: int) -> str:
    """Write a number of nodes."""
    return "1 node" if count == 1 else "%d nodes" % count


def looking(hosts: Sequence[str]) -> None:
    """Begin a line for each node that is looked at, where a callback draws them."""
    send({"event": events.NODES, "nodes": [{"host": host} for host in hosts]})


def planned(plan: Plan, warnings: Sequence[codes.Problem]) -> None:
    """Show a plan in a few words, and what was noticed."""
    notices(warnings)
    counts = [node["nproc_per_node"] for node in plan["nodes"]]
    parts = " + ".join("%d × %s" % (counts.count(number), number) for number in dict.fromkeys(counts))
    interfaces = ", ".join(sorted({node["interface"] for node in plan["nodes"]}))
    where = "on %s, master %s:%s" % (interfaces, plan["master_addr"], plan["master_port"])
    shown = [{key: node[key] for key in ("host", "nproc_per_node")} for node in plan["nodes"]]
    send({"event": events.NODES, "nodes": shown})
    tell("plan", "%s = %s ranks %s" % (parts, plan["world_size"], where))


def ranks(plan: Plan) -> list[str]:
    """Write nodes × rank."""
    rows = [["RANK", "HOST", "ADDRESS", "INTERFACE", "PROCESSES"]]
    for node in plan["nodes"]:
        rows.append([str(node[key]) for key in ("node_rank", "host", "address", "interface", "nproc_per_node")])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def difference(plan: Plan) -> dict[str, str]:
    """Show a start as what is there afterwards and was not before."""
    words = [(node["host"], raw_words.joined((node.get("model") or node)["argv"])) for node in plan["nodes"]]
    after = [*ranks(plan), *("%s: %s" % (host, command) for host, command in words)]
    headers = {"before_header": "nothing", "after_header": "run %s" % plan["run_id"]}
    return {**headers, "before": "", "after": "".join(plain_text.plain(line) + "\n" for line in after)}


def commands(plan: Plan, names: Iterable[str]) -> list[str]:
    """
    Write what every node of a plan is to run.

    Args:
        names: The user's own variables; their values are nobody's business.
    """
    lines = ranks(plan)
    for node in plan["nodes"]:
        given = {**dict.fromkeys(names, _HIDDEN), **node["env"]}
        lines += ["", "%s: cd %s" % (node["host"], raw_words.quoted(node["cwd"]))]
        lines += ["  %s=%s" % (name, raw_words.quoted(raw_words.unpack(value))) for name, value in given.items()]
        words = raw_words.joined((node.get("model") or node)["argv"])
        lines.append("  " + (words or "the daemon that mpirun asks for"))
        rank_argv = node.get("rank_argv")
        lines += ["  each rank: " + raw_words.joined(rank_argv)] if rank_argv else []
    return lines


class Screen:
    """Shows the events of one run."""

    def __init__(self, attached: bool = False) -> None:
        """
        Prepare.

        Args:
            attached: Whether the run began before: then it has no story, only lines.
        """
        self._attached = attached
        self._job, self._size = runners.UNKNOWN, 0
        self._world_size: int | None = None
        self._mask = masking.Mask(())
        self._logs = job_lines.Logs(self._mask)
        self._counts = dict.fromkeys((events.READY, events.STARTED, events.JOINED), 0)
        self._stopping = False

    def begin(self, plan: Plan, secrets: Sequence[str] = ()) -> None:
        """
        Take the plan of the run.

        Args:
            secrets: What no line may show.
        """
        self._job = runners.job_of(plan["shape"], plan.get("runner"))
        self._size, self._world_size = len(plan["nodes"]), plan.get("world_size")
        self._mask = masking.Mask(secrets)
        self._logs = job_lines.Logs(self._mask)

    def on_event(self, event: dict[str, Any], payload: bytes) -> None:
        """Take in one event."""
        kind, host = event["event"], event.get("host")
        if job_lines.is_forged(event):
            return None
        if kind == events.LOG:
            return self._show(host, event["log"], self._logs.feed(str(host), event["log"], payload))
        if not self._attached and kind != events.PLANNED:
            send({**event, "event": events.on_node(kind)})
        if kind in self._counts:
            self._count(kind)
        elif kind == events.EXIT:
            self.flush(host)
        elif kind == events.TIMED:
            say(timing_table.lines(event))
        elif kind == events.SKIPPED:
            left_out = "… %s not shown; they are in the file" % job_lines.size(event["size"])
            self._show(host, event["log"], [left_out])
        elif kind == events.RESTART:
            self.flush()
            self._counts = dict.fromkeys(self._counts, 0)
            self._stopping = False
            changes = "".join(", %s replaces %s" % (new, old) for old, new in (event.get("replaced") or {}).items())
            run_id = event["plan"]["run_id"]
            self._tell("restart", "%s of %s: run %s%s" % (event["attempt"], event["of"], run_id, changes))
        else:
            self._stopping = self._stopping or kind == events.STOPPING
            self._happened(kind, event)
        return None

    def _count(self, kind: str) -> None:
        self._counts[kind] += 1
        due = self._world_size if kind == events.JOINED else self._size
        if self._counts[kind] != due or self._attached:
            return
        stages = {
            events.READY: ("arm", "%s ready" % nodes(self._size)),
            events.STARTED: ("go", "started on %s" % nodes(self._size)),
            events.JOINED: ("ranks", "all %s joined" % due),
        }
        tell(*stages[kind])

    def _happened(self, kind: str, event: dict[str, Any]) -> None:
        host, rank = event.get("host"), event.get("rank")
        told = {
            events.STOPPING: ("stop", "telling all nodes to stop"),
            events.SUSPECT: ("link", "%s does not answer; the run goes on, trying again" % host),
            events.BACK: ("link", "%s is back" % host),
            events.LOST: ("lost", "%s is lost: %s" % (host, event.get("message"))),
            events.LOG_DEGRADED: ("notice", "%s: the disk is full, output of %s is lost" % (host, event.get("log"))),
            events.FILES_SHORT: (
                "notice",
                "%s: too few open files, see runner.* for rank %s" % (host, rank),
            ),
            events.NO_DUMP: ("notice", "%s: no py-spy there, so no stacks" % host),
            events.IDLE: ("idle", "no output for %s s; stopping" % event.get("seconds")),
        }
        if kind in told:
            self._tell(*told[kind])

    def _tell(self, stage: str, text: str) -> None:
        tell(stage, self._mask.text(text))

    def _show(self, host: Any, log: str, texts: Sequence[str]) -> None:
        source = log.partition(".")[0]
        if self._stopping and source == "runner" and self._job.hides_stop:
            # What the runner prints while it is stopped buries the cause; the files keep it.
            return
        label = "%s:%s" % (host, source[5:]) if source.startswith("rank-") else host
        say(("%s | %s" % (label, text) for text in texts), is_job=True)

    def flush(self, only: str | None = None) -> None:
        """Show what no newline has ended, of one host or of all."""
        for host, log, text in self._logs.end(only):
            self._show(host, log, [text])

    def done(self, result: dict[str, Any], shown: Sequence[dict[str, Any]] | None = None) -> None:
        """
        Show how the run ended.

        Args:
            shown: Which of its problems to show; all where it is None.
        """
        summary, run_id = result["summary"], result["run_id"]
        if result["detached"]:
            tell("run", "%s goes on" % run_id)
            return
        found = result.get("problems") or []
        problems(self._mask.data(list(found if shown is None else shown)))
        victims = [host for host, count in summary["victims"].items() if count]
        if victims:
            say(["%s: ranks there then lost their peer" % check_table.brief(victims)])
        ended = "succeeded" if not found else _ENDED.get(found[0]["code"], "failed")
        joined = summary["ranks_joined"]
        ranks = "" if joined is None else ", %s of %s ranks joined" % (joined, self._world_size)
        after = "" if self._attached else " after %.1f s" % summary["duration_seconds"]
        tell("done", "%s%s on %s%s" % (ended, after, nodes(self._size), ranks))
        if found:
            tell("logs", "%s/%s on each node" % (summary["nodes"][0]["run_dir"], run_directory.LOGS))
