# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what a run left on its nodes: logs, events, exit records; once a play."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tarfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _codes
from ansible_collections.madctl.multinode.plugins.plugin_utils import (
    _direct,
    _finding,
    _following,
    _play,
    _reach,
    _screen,
)

_MODULES = _direct.parts("_runs")


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes``, the directory of each here, and ``problems`` of nodes that gave nothing."""
        super().run(tmp, task_vars)
        _play.require(self._task, task_vars)
        arguments = _direct.plain(self._task.args)
        try:
            plan = _finding.plan_of(arguments, self, task_vars)
        except _finding.Unknown as unknown:
            return _following.left_to_role(unknown.result, arguments)
        base = os.path.abspath(arguments.get("dest") or plan["run_id"])
        if self._task.check_mode:
            _screen.tell("collect", "run %s would be fetched to %s" % (plan["run_id"], base))
            absent = [node for node in plan["nodes"] if not os.path.isdir(os.path.join(base, node["host"]))]
            return {"changed": bool(absent), "nodes": {}, "problems": [], "run_id": plan["run_id"]}
        taken = [
            _codes.problem("DEST_IN_USE", node["host"], "%s holds something else" % place, "name another directory")
            for node, place in ((node, os.path.join(base, node["host"])) for node in plan["nodes"])
            if not is_replaced(place, plan["run_id"])
        ]
        if taken:
            _screen.problems(taken)
            refused = _following.judged({"changed": False, "nodes": {}, "run_id": plan["run_id"]}, taken)
            return _following.left_to_role(refused, arguments)

        def fetch(node: dict[str, Any]) -> tuple[bool, str | None]:
            reach = _reach.Reach(node["host"], self, task_vars["hostvars"][node["host"]])
            request = {"run_id": plan["run_id"], "run_dir": node.get("run_dir")}
            return collect(reach, request, os.path.join(base, node["host"]))

        with ThreadPoolExecutor(_reach.AT_ONCE) as pool:
            fetched = list(pool.map(fetch, plan["nodes"]))
        outcomes = list(zip([node["host"] for node in plan["nodes"]], [why for _, why in fetched]))
        nodes = {host: os.path.join(base, host) for host, why in outcomes if not why}
        reasons = {host: why for host, why in outcomes if why}
        result = _following.answered(nodes, reasons, changed=any(changed for changed, _ in fetched))
        _screen.tell("collect", "run %s" % plan["run_id"])
        _screen.say("%s: %s" % (host, place) for host, place in nodes.items())
        _screen.problems(result["problems"])
        return _following.left_to_role(dict(result, run_id=plan["run_id"]), arguments)


def collect(reach: _reach.Reach, request: dict[str, Any], directory: str) -> tuple[bool, str | None]:
    """Fetch one node's share into a directory; say whether that changed it, and why it could not be fetched."""
    program = _direct.Program("pack", _MODULES, request, speaks=True)
    process = reach.start(program.command(reach.python))
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    errors: list[bytes] = []
    read = process.stderr.read
    drain = threading.Thread(target=lambda: errors.append(read()), daemon=True)
    drain.start()
    process.stdin.write(program.text)
    process.stdin.close()
    before = b""
    for line in process.stdout:
        if program.news(line) is not None:
            break
        before += line
    else:
        drain.join()
        text = [part.decode(errors="replace") for part in (before, b"".join(errors))]
        return False, str(program.answer(process.wait(), *text)["msg"])
    partial = directory + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial, 0o700)
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|gz") as archive:
            # A node is not trusted with paths of this machine.
            archive.extractall(partial, filter="data")
        process.stdout.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        process.kill()
        process.wait()
        shutil.rmtree(partial, ignore_errors=True)
        return False, "its archive could not be unpacked: %s" % error
    if process.wait():
        shutil.rmtree(partial, ignore_errors=True)
        return False, "the connection ended in the middle"
    if os.path.isdir(directory) and same(partial, directory):
        shutil.rmtree(partial)
        return False, None
    shutil.rmtree(directory, ignore_errors=True)
    os.rename(partial, directory)
    return True, None


def is_replaced(directory: str, run_id: str) -> bool:
    """Tell whether a directory may give way to what is fetched: it is empty, or holds the same run."""
    try:
        if not os.listdir(directory):
            return True
        with open(os.path.join(directory, "run.json"), encoding="utf-8") as stream:
            return bool(json.load(stream)["run_id"] == run_id)
    except FileNotFoundError:
        return not os.path.isdir(directory)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def same(one: str, other: str) -> bool:
    """Tell whether two directories hold the same files, byte for byte."""
    found = filecmp.dircmp(one, other, ignore=[])
    if found.left_only or found.right_only or found.common_funny:
        return False
    _, different, unread = filecmp.cmpfiles(one, other, found.common_files, shallow=False)
    below = (same(os.path.join(one, name), os.path.join(other, name)) for name in found.common_dirs)
    return not different and not unread and all(below)
