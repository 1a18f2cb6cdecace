# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what a run left on its nodes: logs, events, exit records; once a play."""

from __future__ import annotations

import filecmp
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, run_directory, wire
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, program_output, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import AT_ONCE, Way
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import find_run, play_rules, results, unpacking
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_MODULES = remote_program.parts("_runs.run_state")
MAX_BYTES = 1 << 32
SILENCE_SECONDS = 60.0
_RUN_BYTES = 1 << 20


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes``, the directory of each here, and ``problems`` of nodes that gave nothing."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = remote_program.plain(self._task.args)
        try:
            plan = find_run.plan_of(arguments, self, task_vars)
        except find_run.Unknown as unknown:
            return results.left_to_role(unknown.result, arguments)
        size = int(arguments.get("max_size") or MAX_BYTES)
        base = os.path.abspath(arguments.get("dest") or plan["run_id"])
        if self._task.check_mode:
            playbook_screen.tell("collect", "run %s would be fetched to %s" % (plan["run_id"], base))
            absent = [node for node in plan["nodes"] if not os.path.isdir(os.path.join(base, node["host"]))]
            return {"changed": bool(absent), "nodes": {}, "problems": [], "run_id": plan["run_id"]}
        taken = [
            codes.problem("DEST_IN_USE", node["host"], "%s holds something else" % place, "name another directory")
            for node, place in ((node, os.path.join(base, node["host"])) for node in plan["nodes"])
            if not is_replaced(place, plan["run_id"])
        ]
        if taken:
            playbook_screen.problems(taken)
            refused = results.judged({"changed": False, "nodes": {}, "run_id": plan["run_id"]}, taken)
            return results.left_to_role(refused, arguments)

        hosts = [node["host"] for node in plan["nodes"]]
        ways = choose_way.to(hosts, self, task_vars["hostvars"])

        def fetch(node: dict[str, Any]) -> tuple[bool, str | None, str | None]:
            request = {"run_id": plan["run_id"], "run_dir": node.get("run_dir")}
            return collect(ways[node["host"]], request, os.path.join(base, node["host"]), size)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            fetched = list(pool.map(fetch, plan["nodes"]))
        outcomes = list(zip(hosts, [why for _, why, _ in fetched]))
        left_out = [
            codes.problem("FILES_LEFT_OUT", host, found, "look at them on the node, as root if need be")
            for host, (_, _, found) in zip(hosts, fetched)
            if found
        ]
        nodes = {host: os.path.join(base, host) for host, why in outcomes if not why}
        reasons = {host: why for host, why in outcomes if why}
        result = results.answered(nodes, reasons, ways, changed=any(changed for changed, _, _ in fetched))
        playbook_screen.tell("collect", "run %s" % plan["run_id"])
        playbook_screen.say("%s: %s" % (host, place) for host, place in nodes.items())
        playbook_screen.notices(left_out)
        playbook_screen.problems(result["problems"])
        return results.left_to_role(dict(result, run_id=plan["run_id"], warning_list=left_out), arguments)


def collect(way: Way, request: dict[str, Any], directory: str, size: int) -> tuple[bool, str | None, str | None]:
    """
    Fetch one node's share into a directory.

    Say whether that changed it, why it could not be fetched, and what was left out there.

    Args:
        size: How many bytes the node's files may have.
    """
    partial = directory + ".partial"
    program = remote_program.Program("pack", _MODULES, request, speaks=True)
    process = way.start(program.command(way.python))
    hearing = program_output.Hearing(process, program_output.BEFORE_BYTES, SILENCE_SECONDS)
    try:
        remote_program.give(process, program)
        if hearing.news(program) is None:
            return False, str(hearing.answer(program)["msg"]), None
        _renew(partial)
        left_out = unpacking.unpack(hearing.read, partial, size)
        if process.wait():
            return False, "the connection ended in the middle: " + hearing.words, None
        return _replace(directory, partial), None, left_out
    except (program_output.Refused, OSError) as error:
        return False, "its archive is refused: %s" % error, None
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(partial, ignore_errors=True)


def _renew(directory: str) -> None:
    """Make a directory that is empty and this user's alone."""
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    os.mkdir(directory, 0o700)


def _replace(directory: str, by: str) -> bool:
    """Put a directory in the place of another, and say whether it is any different."""
    if os.path.isdir(directory) and same(by, directory):
        return False
    shutil.rmtree(directory, ignore_errors=True)
    os.rename(by, directory)
    return True


def is_replaced(directory: str, run_id: str) -> bool:
    """Tell whether a directory may give way to what is fetched: it is empty, or holds the same run."""
    try:
        if not os.listdir(directory):
            return True
        # A node wrote this file.
        with open(os.path.join(directory, run_directory.DESCRIPTION), "rb") as stream:
            return bool(wire.parse(stream.read(_RUN_BYTES)).get("run_id") == run_id)
    except FileNotFoundError:
        return not os.path.isdir(directory)
    except (OSError, ValueError):
        return False


def same(one: str, other: str) -> bool:
    """Tell whether two directories hold the same files, byte for byte."""
    found = filecmp.dircmp(one, other, ignore=[])
    if found.left_only or found.right_only or found.common_funny:
        return False
    _, different, unread = filecmp.cmpfiles(one, other, found.common_files, shallow=False)
    below = (same(os.path.join(one, name), os.path.join(other, name)) for name in found.common_dirs)
    return not different and not unread and all(below)
