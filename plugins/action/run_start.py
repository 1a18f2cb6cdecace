# SPDX-License-Identifier: GPL-3.0-or-later
"""
Arm all nodes, say go to all of them, follow every one to the end; after a failure perhaps once more.

Runs once a play, so it does not depend on ``forks``: a blocking task for each node would wait for
ranks that were never started.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._follow.follower import Follower
from ansible_collections.madctl.multinode.plugins.module_utils._plan import proof_verdict, spare_nodes
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options, validation
from ansible_collections.madctl.multinode.plugins.module_utils._show import masking
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import choose_way, remote_program
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.way import Ways
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import (
    arm_nodes,
    event_queue,
    play_rules,
    proving,
    reconnect,
    results,
    signals,
)
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_LOG_CAP_BYTES = 1 << 30
_WORK = "set madctl_work"


class ActionModule(ActionBase):
    """Run once a play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        play_rules.require(self._task, task_vars)
        arguments = remote_program.plain(self._task.args)
        plan = arguments.get("plan")
        if not plan:
            raise playbook_screen.refusal([codes.problem("WORK_MISSING", None, "there is nothing to run", _WORK)])
        playbook_screen.refuse(validation.judge(arguments))
        quiet = bool(arguments.get("event_socket"))
        secrets = _secrets(plan, arguments.get("user_env") or {})
        if self._task.check_mode or boolean(arguments.get("dry_run", False)):
            return self._planned(plan, arguments, secrets, quiet)
        screen = playbook_screen.Screen(plan, secrets)
        if not quiet:
            playbook_screen.tell("run", plan["run_id"])
        result = self._start(plan, arguments, task_vars, screen)
        if not quiet:
            screen.done(result)
        if self._task.diff:
            result["diff"] = masking.Mask(secrets).data(playbook_screen.difference(plan))
        return results.left_to_role(result, arguments)

    def _planned(self, plan: Plan, arguments: dict[str, Any], secrets: Sequence[str], quiet: bool) -> dict[str, Any]:
        """Show what would start, and start nothing."""
        names = arguments.get("user_env") or {}
        mask = masking.Mask(secrets)
        if not quiet:
            playbook_screen.say(map(mask.text, ["", *playbook_screen.commands(plan, names), ""]))
        found = {"changed": True, "planned": True, "run_id": plan["run_id"], "problems": []}
        diff = {"diff": mask.data(playbook_screen.difference(plan))} if self._task.diff else {}
        return {**found, **diff, "_ansible_verbose_override": True}

    def _start(
        self, plan: Plan, arguments: dict[str, Any], task_vars: Any, screen: playbook_screen.Screen
    ) -> dict[str, Any]:
        restarts: list[dict[str, Any]] = []
        with event_queue.Events(arguments.get("event_socket"), screen) as queue:
            while True:
                ways = choose_way.to((node["host"] for node in plan["nodes"]), self, task_vars["hostvars"])
                result = attempt(plan, arguments, ways, queue)
                result["restarts"] = restarts
                again = _again(plan, result, len(restarts) + 1)
                if again is None:
                    return result
                plan, replaced = again
                restarts.append({"run_id": plan["run_id"], "replaced": replaced, "after": result["problems"][0]})
                told = {key: value for key, value in plan.items() if key not in ("restart", "proof")}
                kept = plan["restart"]
                assert kept is not None
                tried = {"attempt": len(restarts), "of": kept["most"]}
                queue.tell({"event": events.RESTART, **tried, "replaced": replaced, "plan": told}, b"")


def _secrets(plan: Plan, user_env: dict[str, Any]) -> tuple[str, ...]:
    """Pick what no screen shows: values of the user's variables, and of those that a context gives to containers."""
    given = [(name, raw_words.unpack(word)) for name, word in user_env.items()]
    for node in plan["nodes"][:1]:  # All have the same.
        model = node.get("model")
        words = [raw_words.unpack(word) for word in model["argv"]] if model else []
        for at, word in enumerate(words[:-1]):
            if word == "--additional-context":
                variables = madengine_options.parse(words[at + 1]).get("docker_env_vars") or {}
                named = (name for name in variables if masking.named_like_a_secret(str(name)))
                given += [(str(name), str(variables[name])) for name in named]
    return masking.values(given)


def _again(plan: Plan, result: dict[str, Any], number: int) -> tuple[Plan, dict[str, str]] | None:
    """Plan a restart where the run failed in a way that may not come again."""
    problems = result.get("problems") or []
    if not problems or any(entry["code"] not in codes.RESTARTABLE for entry in problems):
        return None
    failures = {entry["host"]: entry["code"] for entry in reversed(problems) if entry["host"]}
    return spare_nodes.again(plan, failures, number)


def attempt(plan: Plan, arguments: dict[str, Any], ways: Ways, queue: event_queue.Events) -> dict[str, Any]:
    """Start a plan once and follow it to its end."""
    follower = Follower(plan, queue.tell, ways)
    signals.obey(follower, queue)
    idle_timeout = float(arguments.get("idle_timeout") or 0) or None
    given = {
        "user_env": arguments.get("user_env") or {},
        "timeout": float(arguments.get("timeout") or 0) or None,
        "log_cap": int(arguments.get("log_cap") or _LOG_CAP_BYTES),
    }
    started = time.monotonic()
    with arm_nodes.Arming(plan, given, ways) as arming, reconnect.Links(plan, ways, follower):
        follower.watch(arming.news, lambda: arming.pass_on(follower))
        ready = follower.wait_ready(float(plan["start_timeout"]))
        refusals = proof_verdict.judge(plan["proof"], arming.proof) if ready else []
        if ready and not refusals:
            started = time.monotonic()
            follower.go()
        else:
            follower.refuse(refusals)
            arming.cancel()
            follower.stop_all()
        if boolean(arguments.get("detach") or False) and ready and not refusals:
            follower.wait_started(float(plan["start_timeout"]))
            if not any(run.failure for run in follower.runs):
                follower.detach()
        follower.follow(idle_timeout)
    # A supervisor has the proof's files removed; where there is none, we do.
    unarmed = {host: plan["proof"][host]["written"] for host in ways if host not in arming.armed}
    proving.release(unarmed, ways)
    return results.of_run(follower, plan, time.monotonic() - started)
