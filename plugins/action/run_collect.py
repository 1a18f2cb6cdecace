# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch what a run left on its nodes: logs, events, exit records; once a play."""

from __future__ import annotations

import os
import shutil
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils import _codes
from ansible_collections.madctl.multinode.plugins.plugin_utils import _direct, _following, _reach

_MODULES = _direct.parts("_runs")


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return ``nodes``, the directory of each here, and ``problems`` of nodes that gave nothing."""
        super().run(tmp, task_vars)
        arguments = _direct.plain(self._task.args)
        plan = _following.plan_of(arguments, task_vars)
        base = os.path.abspath(arguments["dest"])
        if self._task.check_mode:
            return {"changed": True, "nodes": {}, "problems": []}

        def fetch(node: dict[str, Any]) -> str | None:
            reach = _reach.Reach(node["host"], self._play_context, task_vars["hostvars"][node["host"]])
            request = {"run_id": plan["run_id"], "run_dir": node.get("run_dir")}
            return collect(reach, request, os.path.join(base, node["host"]))

        with ThreadPoolExecutor(_reach.AT_ONCE) as pool:
            reasons = list(pool.map(fetch, plan["nodes"]))
        hosts = [node["host"] for node in plan["nodes"]]
        problems = [
            _codes.problem("NODE_SILENT", host, reason, "check the node")
            for host, reason in zip(hosts, reasons)
            if reason
        ]
        nodes = {host: os.path.join(base, host) for host, reason in zip(hosts, reasons) if not reason}
        return {"changed": True, "nodes": nodes, "problems": problems}


def collect(reach: _reach.Reach, request: dict[str, Any], directory: str) -> str | None:
    """Fetch one node's share into a new directory; say why not, or None."""
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
        return str(program.answer(process.wait(), *text)["msg"])
    partial = directory + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial, 0o700)
    with tarfile.open(fileobj=process.stdout, mode="r|gz") as archive:
        # A node is not trusted with paths of this machine.
        archive.extractall(partial, filter="data")
    process.stdout.read()
    if process.wait():
        return "it ended in the middle"
    shutil.rmtree(directory, ignore_errors=True)
    os.rename(partial, directory)
    return None
