# SPDX-License-Identifier: GPL-3.0-or-later
"""
Submit a launch as a Slurm job on a login node, and follow it to its end; or end it.

Runs once per play, on its only host. The request goes over the channel of an agent, so that no value of a variable is
in an argument, a log or a result.
"""

from __future__ import annotations

import shlex
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, node_answers, raw_words
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import login_node
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._job import delivery
from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids, slurm_words
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME
from ansible_collections.madctl.multinode.plugins.module_utils._show import masking, sentences
from ansible_collections.madctl.multinode.plugins.module_utils._submit import on_login, programs, submission
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import hosting, play_rules, request_of, results
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import job_screen, playbook_screen

_STATES = ("submitted", "stopped", "absent")
# Arguments whose variables are named after Slurm.
_FULL = {name[len("slurm_") :]: name for name in BY_NAME if name.startswith("slurm_")}
# Arguments of the task that are not arguments of the launch.
_OF_TASK = ("state", "fail_on_problems", "event_socket", "known_tags", "detach", "on", "grace", "dry_run")


class ActionModule(ActionBase):
    """Run once per play."""

    BYPASS_HOST_LOOP = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Return the job, and how its run ended; fail with ``problems``, the first failure first."""
        super().run(tmp, task_vars)
        variables = play_rules.require(self._task, task_vars)
        if not play_rules.is_meant(self._task, task_vars):
            return dict(play_rules.NOT_MEANT)
        given = {_FULL.get(name, name): value for name, value in self._task.args.items()}
        state = str(given.get("state") or _STATES[0])
        hosts = list(variables)
        arguments = request_of.read(given, variables)
        playbook_screen.refuse(_refusals(state, given, hosts))
        arguments["fail_on_problems"] = given.get("fail_on_problems", True)
        is_dry = bool(self._task.check_mode or arguments["dry_run"])
        with hosting.agents_of(self, task_vars, hosts, variables) as agents:
            if state == "submitted":
                found = self._submitted(agents, hosts[0], arguments, is_dry)
            else:
                found = _ended(agents, hosts[0], arguments, is_dry, state == "absent")
        return results.judged(found, found["problems"], arguments, hosts)

    def _submitted(self, agents: Agents, host: str, arguments: dict[str, Any], is_dry: bool) -> dict[str, Any]:
        playbook_screen.refuse(slurm_words.contradictions(arguments))
        run_id = str(arguments.get("run_id") or run_ids.new())
        secrets = masking.values((name, raw_words.unpack(value)) for name, value in arguments["env"].items())
        screen = job_screen.JobScreen(arguments["run_root"], chosen=request_of.chosen(arguments), secrets=secrets)
        # Set before the submission, so that an interrupt does not lose the job.
        with hosting.conducted(agents, arguments["event_socket"], screen, exact=True) as conductor:
            answer = _submit(agents, host, arguments, run_id, is_dry)
            found = {"changed": answer["changed"], "run_id": run_id, "job_id": answer.get("job_id")}
            found.update(run_dir=answer.get("place"), state=None, problems=[], exit_code=0)
            if answer["problem"]:
                return _failed(found, [answer["problem"]])
            if self._task.diff and answer["changed"]:
                found["diff"] = _difference(run_id, answer)
            if is_dry:
                return {**found, **_judged(run_id, answer)}
            tell = _Teller(conductor, bool(arguments["event_socket"]))
            tell.submitted(run_id, arguments, answer)
            if arguments["detach"] and not conductor.is_over:
                return {**found, "state": "submitted", "detached": True}
            job = {"job_id": answer["job_id"], "place": answer["place"], "conf": arguments["slurm_conf"] or ""}
            following = login_node.Following(conductor, agents, host, job, conductor.pass_on, tell.waits)
            result = {"run_id": run_id, **following.run()}
        if not arguments["event_socket"]:
            # All lines of the job are shown by now.
            result["problems"] = job_screen.pointed(result["problems"], screen.logs_of)
            screen.end(result)
        return {**found, **result, "state": _state(result)}


class _Teller:
    """Reports the job's progress to madctl, if it listens, or to the screen."""

    def __init__(self, conductor: Conductor, is_heard: bool) -> None:
        self._conductor, self._is_heard = conductor, is_heard

    def submitted(self, run_id: str, arguments: dict[str, Any], answer: dict[str, Any]) -> None:
        """Report the ids of a run and its job, and Slurm's remarks."""
        said, job = answer.get("said") or [], {name: answer[name] for name in ("job_id", "place")}
        if self._is_heard:
            conf = arguments["slurm_conf"] or ""
            self._conductor.tell({"event": events.SUBMITTED, "run_id": run_id, **job, "conf": conf, "said": said})
            return
        playbook_screen.tell(*sentences.called(run_id, arguments["name"]))
        for line in said:
            playbook_screen.tell("notice", line)
        before = "" if answer["changed"] else "before, "
        playbook_screen.tell("queue", "submitted %sas job %s" % (before, answer["job_id"]))

    def waits(self, text: str) -> None:
        """Report what the job waits for."""
        if self._is_heard:
            self._conductor.tell({"event": events.QUEUED, "text": text})
        else:
            playbook_screen.tell("queue", text)


def _submit(agents: Agents, host: str, arguments: dict[str, Any], run_id: str, is_dry: bool) -> dict[str, Any]:
    files = delivery.files()
    request = {
        "base": arguments["run_root"],
        "run_id": run_id,
        "nodes": arguments["slurm_nodes"],
        "chosen": slurm_words.words(arguments),
        "arguments": _of_launch(arguments, run_id),
        "conf": arguments["slurm_conf"] or "",
        "dry_run": is_dry,
        "programs": programs.name(files),
    }
    return login_node.submit(agents, host, request, lambda: on_login.packed(files))


def _judged(run_id: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Show why Slurm did not submit a job."""
    remarks = answer.get("said") or ["run %s is submitted as job %s" % (run_id, answer["job_id"])]
    for line in remarks:
        playbook_screen.tell("queue", line)
    return {"judged": True, "argv": answer["argv"], "script": answer["script"], "remarks": remarks}


def _state(result: dict[str, Any]) -> str:
    if result.get("detached"):
        return "submitted"
    return "failed" if result["problems"] else "succeeded"


def _failed(found: dict[str, Any], problems: list[codes.Problem]) -> dict[str, Any]:
    playbook_screen.problems(problems)
    return {**found, "problems": problems, "exit_code": int(codes.exit_code(problems))}


def _ended(agents: Agents, host: str, arguments: dict[str, Any], is_dry: bool, removes: bool) -> dict[str, Any]:
    request = {
        "base": arguments["run_root"],
        "run_id": arguments.get("run_id"),
        "conf": arguments["slurm_conf"] or "",
        "grace": arguments["grace"],
        "dry_run": is_dry,
        "remove": removes,
    }
    answer = login_node.end(agents, host, request)
    found = {"changed": answer["changed"], "run_id": answer.get("run_id"), "job_id": answer.get("job_id")}
    found.update(run_dir=answer.get("place"), state=None, problems=[], exit_code=0)
    if answer["problem"]:
        return _failed(found, [answer["problem"]])
    if found["job_id"]:
        ends = "would be ended" if is_dry and answer["changed"] else "is over"
        playbook_screen.tell("stop", "run %s: job %s %s" % (found["run_id"], found["job_id"], ends))
    return {**found, "state": "absent" if removes else "stopped"}


def _of_launch(arguments: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Return the arguments of the launch in the form in which its job reads them."""
    ours = {
        name: value
        for name, value in arguments.items()
        if name not in _OF_TASK and not name.startswith("slurm_") and value is not None
    }
    contexts = list(arguments["additional_context"])
    return submission.in_job({**ours, "additional_context": contexts}, run_id, BY_NAME["master_port"].default)


def _difference(run_id: str, answer: dict[str, Any]) -> dict[str, str]:
    after = "%s\n\n%s" % (shlex.join(answer["argv"]), answer["script"])
    return {"before_header": "nothing", "after_header": "run %s" % run_id, "before": "", "after": after}


def _refusals(state: str, given: dict[str, Any], hosts: list[str]) -> list[codes.Problem]:
    found = []
    if state not in _STATES:
        message = "state takes %s, not %r" % (" or ".join(_STATES), state)
        found.append(codes.problem("USAGE", None, message, "set one of these"))
    if len(hosts) != 1:
        message = "a job is submitted on one host, a login node, and the play has %d" % len(hosts)
        found.append(codes.problem("USAGE", None, message, "limit the play to that one"))
    if state == "submitted" and not (given.get("work") or given.get("tags")):
        found.append(codes.problem("WORK_MISSING", None, "there is nothing to run", "set madctl_work"))
    if given.get("run_id") and not node_answers.is_run_id(str(given["run_id"])):
        found.append(codes.problem("USAGE", None, "%r is not the ID of a run" % str(given["run_id"])))
    if state != "submitted" and not given.get("run_root"):
        found.append(codes.problem("USAGE", None, "the directory of runs is missing", "set madctl_run_root"))
    return found
