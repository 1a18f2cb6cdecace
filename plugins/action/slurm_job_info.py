# SPDX-License-Identifier: GPL-3.0-or-later
"""Report the state of a run in a Slurm job, or show its output, from its files on a login node; once per play."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, node_answers
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import login_node
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._show import status_table, verdict_text
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import job_screen, playbook_screen

_HOST = "the files of a job are read on one host, a login node, and the play has %d"


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the state of the run; fail with ``problems`` if it is unknown."""
        super().run(tmp, task_vars)
        hosts = list(play_rules.require(self._task, task_vars))
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        given = {{"conf": "slurm_conf"}.get(name, name): value for name, value in self._task.args.items()}
        arguments = request_of.arguments_of(given)
        playbook_screen.refuse(_refusals(given, hosts))
        with hosting.agents_of(self, task_vars, hosts) as agents:
            request = {
                "base": arguments["run_root"],
                "run_id": arguments.get("run_id"),
                "conf": arguments.get("slurm_conf") or "",
            }
            answer = login_node.look(agents, hosts[0], request)
            problem = answer.pop("problem")
            found = {"problems": [], **answer, "changed": False}
            if problem:
                found.update(problems=[problem], exit_code=int(codes.exit_code([problem])))
                playbook_screen.problems([problem])
            elif boolean(given.get("output") or False):
                found.update(_output(agents, hosts[0], found, arguments, request["conf"]))
            else:
                _show(found)
        return results.judged(found, found["problems"], arguments, hosts)


def _show(found: dict[str, Any]) -> None:
    """Show the verdict, then one line per node."""
    end = found["ended"] or time.time()
    seconds = end - found["began"] if found["began"] else None
    playbook_screen.say([verdict_text.whole({**found, "duration_seconds": seconds})])
    playbook_screen.tell("run", found["run_id"])
    playbook_screen.tell("job", "%s of Slurm, files in %s" % (found["job_id"], found["run_dir"]))
    if found["nodes"]:
        playbook_screen.say(status_table.lines([{"host": host, **node} for host, node in found["nodes"].items()]))


def _output(agents: Agents, host: str, found: dict[str, Any], arguments: dict[str, Any], conf: str) -> dict[str, Any]:
    """Show the output of a run, and follow it on request; no order reaches it."""
    event_socket, follow = arguments.get("event_socket"), bool(arguments.get("follow"))
    screen = job_screen.JobScreen(arguments["run_root"], attached=True, chosen=request_of.chosen(arguments))
    job = {"job_id": found["job_id"], "place": found["run_dir"], "conf": conf}
    with hosting.conducted(agents, event_socket, screen, exact=True) as conductor:

        def so_far() -> None:
            if event_socket:
                conductor.tell({"event": events.SO_FAR})

        following = login_node.Following(conductor, agents, host, job, conductor.pass_on, lambda _: None)
        result = following.read(follow, so_far)
    if follow and not event_socket:
        screen.end({"run_id": found["run_id"], **result})
    # The user asked for output, not for how the run ended.
    unread = [entry for entry in result["problems"] if entry["code"] in login_node.UNREAD]
    return {**result, "problems": unread, "exit_code": int(codes.exit_code(unread))}


def _refusals(given: dict[str, Any], hosts: list[str]) -> list[codes.Problem]:
    found = []
    if len(hosts) != 1:
        found.append(codes.problem("USAGE", None, _HOST % len(hosts), "limit the play to that one"))
    if not given.get("run_root"):
        found.append(codes.problem("USAGE", None, "the directory of runs is missing", "set madctl_run_root"))
    if given.get("run_id") and not node_answers.is_run_id(str(given["run_id"])):
        found.append(codes.problem("USAGE", None, "%r is not the ID of a run" % str(given["run_id"])))
    if given.get("since") or given.get("lines"):
        message = "of a run in a job all output is shown, with neither madctl_since nor madctl_lines"
        found.append(codes.problem("USAGE", None, message, "leave them out"))
    return found
