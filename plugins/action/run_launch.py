# SPDX-License-Identifier: GPL-3.0-or-later
"""
Inspect all nodes, plan, arm them, start all at once and follow them to the end; retry after some failures.

Runs once per play, so it does not depend on ``forks``: a blocking task for each node would wait for
ranks that were never started.
"""

from __future__ import annotations

from typing import Any, cast

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._common.shapes import Plan
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options
from ansible_collections.madctl.multinode.plugins.module_utils._show import chosen as chosen_output
from ansible_collections.madctl.multinode.plugins.module_utils._show import masking, plan_text, sentences
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import own_settings
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import (
    hosting,
    play_rules,
    request_of,
    results,
    verdict,
)
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_WORK = "set madctl_work"


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return how the run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        variables = play_rules.require(self._task, task_vars)
        read = request_of.read(self._task.args, variables)
        arguments = own_settings.added(read, task_vars, list(variables))
        stages = play_rules.stages(self._task, task_vars, arguments)
        plan: Plan | None = arguments["plan"] or None
        if stages.starts and not (plan or arguments["work"] or arguments["tags"]):
            raise playbook_screen.refusal([codes.problem("WORK_MISSING", None, "there is nothing to run", _WORK)])
        hosts = [node["host"] for node in plan["nodes"]] if plan else None
        chosen, event_socket = request_of.chosen(arguments), arguments["event_socket"]
        if plan:
            playbook_screen.refuse(chosen_output.problems(chosen, plan))
        screen = playbook_screen.Screen(chosen=chosen)
        with hosting.agents_of(self, task_vars, hosts, variables) as agents, hosting.conducted(
            agents, event_socket, screen
        ) as conductor:
            result: dict[str, Any] = {}
            if plan is None:
                plan, result = self._plan(conductor, arguments, variables, stages)
            if plan is None or not stages.starts:
                return result
            result = {**result, **self._start(conductor, plan, arguments, screen, stages.is_dry)}
        if not stages.is_dry and not event_socket:
            # All lines of the job are shown by now.
            screen.done(result)
        return result

    @staticmethod
    def _plan(
        conductor: Conductor, arguments: dict[str, Any], variables: dict[str, Any], stages: play_rules.Stages
    ) -> tuple[Plan | None, dict[str, Any]]:
        """Inspect and plan; without a plan, the result is final."""
        judged = verdict.look(conductor, arguments, variables, stages, in_full=False)
        if conductor.is_over:
            return None, verdict.interrupted(conductor, arguments, list(variables))
        # Ansible keeps a copy per host, so it contains only what is needed after a launch.
        result = {
            "changed": False,
            "problems": [],
            "without_ifconfig": judged.without_ifconfig,
            "warning_list": judged.warnings,
        }
        if judged.plan:
            return judged.plan, result
        result["checks"], problems = verdict.prove(conductor, judged, arguments, show=False)
        if problems:
            result["exit_code"] = int(codes.exit_code(problems))
        return None, results.judged(result, problems, arguments, list(variables))

    def _start(
        self, conductor: Conductor, plan: Plan, arguments: dict[str, Any], screen: playbook_screen.Screen, is_dry: bool
    ) -> dict[str, Any]:
        quiet = bool(arguments["event_socket"])
        user_env, own_env = arguments["env"], own_settings.environments(arguments)
        secrets = _secrets(plan, [user_env, *own_env.values()])
        mask = masking.Mask(secrets)
        diff = {"diff": mask.data(playbook_screen.difference(plan))} if self._task.diff else {}
        if is_dry:
            plan = _with_names(plan, own_env)
            if not quiet:
                hidden = dict.fromkeys(user_env, masking.MARK)
                playbook_screen.say(map(mask.text, ["", *plan_text.whole(plan, hidden), ""]))
            found = {"changed": True, "planned": True, "run_id": plan["run_id"], "plan": plan, "problems": []}
            return {**found, **diff, "_ansible_verbose_override": True}
        screen.begin(plan, secrets)
        if not quiet:
            playbook_screen.tell(*sentences.called(plan["run_id"], arguments["name"]))
        limits = {name: arguments[name] or None for name in ("timeout", "idle_timeout")}
        given = {
            "user_env": user_env,
            "own_env": own_env,
            **limits,
            "log_cap": arguments["log_cap"],
            "detach": arguments["detach"],
        }
        given.update({name: arguments[name] for name in ("name", "note")}, in_step=False)
        result = {"changed": True, **conductor.start(plan, given)}
        hosts = [node["host"] for node in plan["nodes"]]
        return {**results.judged(result, result["problems"], arguments, hosts), **diff}


def _with_names(plan: Plan, own_env: dict[str, dict[str, Any]]) -> Plan:
    """Add to a shown plan which variables nodes have of their own; their values are never part of a plan."""
    marks = {host: dict.fromkeys(own, masking.MARK) for host, own in own_env.items()}
    nodes = [{**node, "env": {**marks.get(node["host"], {}), **node["env"]}} for node in plan["nodes"]]
    return cast(Plan, {**plan, "nodes": nodes})


def _secrets(plan: Plan, environments: list[dict[str, Any]]) -> tuple[str, ...]:
    """
    Collect what no screen may show: the values of the user's variables, and of those that a context gives to
    containers.
    """
    given = [(name, raw_words.unpack(word)) for env in environments for name, word in env.items()]
    for node in plan["nodes"][:1]:  # They are the same on all nodes.
        model = node.get("model")
        words = [raw_words.unpack(word) for word in model["argv"]] if model else []
        for at, word in enumerate(words[:-1]):
            if word == "--additional-context":
                variables = madengine_options.parse(words[at + 1]).get("docker_env_vars") or {}
                named = (name for name in variables if masking.named_like_a_secret(str(name)))
                given += [(str(name), str(variables[name])) for name in named]
    return masking.values(given)
