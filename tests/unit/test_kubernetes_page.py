# SPDX-License-Identifier: Apache-2.0
"""Tables of the page about Kubernetes say what the code says: options, rights, ends of a job."""

import re
from pathlib import Path

import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import state
from docs.generators import command_line

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how_to/kubernetes.md"
RBAC = ROOT / "docs/how_to/kubernetes/rbac.yml"
# What the jobs of several schedulers take.
SHARED = {"--on", "--nodes", "--nnodes", "--gpus-per-node", "--exclusive", "--run-root", "--sync"}


def section(title):
    return PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_what_becomes_of_every_option_is_described():
    groups = next(command.groups for command in command_line.commands() if command.name == "madctl launch")
    alone = next(group for group in groups if group.title == "Kubernetes")
    offered = {re.findall(r"--[a-z-]+", option.spelling)[-1] for option in alone.options}
    cells = re.findall(r"^\| (`--.*?) \|", section("What each option becomes"), re.M)

    assert set(re.findall(r"--[a-z-]+", " ".join(cells))) == offered | SHARED


def test_the_rights_of_the_page_are_those_of_the_role():
    rows = re.findall(r"^\| (`[a-z/`, ]+`) \| ([a-z, ]+) \|", section("Permissions"), re.M)
    told = {name: set(verbs.split(", ")) for names, verbs in rows for name in re.findall("[a-z/]+", names)}
    (role,) = [one for one in yaml.safe_load_all(RBAC.read_text()) if one["kind"] == "Role"]

    assert told == {name: set(rule["verbs"]) for rule in role["rules"] for name in rule["resources"]}


def pod(condition=None, **own):
    """Return the first pod of a run, with a condition or a container."""
    conditions = [{"type": "DisruptionTarget", "status": "True", "reason": condition}] if condition else []
    containers = [{"name": "run", "state": own}] if own else []
    labels = {"batch.kubernetes.io/job-completion-index": "0"}
    return {"metadata": {"labels": labels}, "status": {"conditions": conditions, "containerStatuses": containers}}


FAILED = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]}}
LATE = {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}}
ENDS = {
    "the Job is gone": (None, []),
    "`DeadlineExceeded`": (LATE, []),
    "a pod was preempted: `PreemptionByScheduler`": (FAILED, [pod("PreemptionByScheduler")]),
    "a pod was evicted, or its node is lost": (FAILED, [pod("EvictionByEvictionAPI")]),
    "`OOMKilled`": (FAILED, [pod(terminated={"reason": "OOMKilled", "exitCode": 137})]),
    "a pod never started": (FAILED, [pod(waiting={"reason": "ErrImagePull"})]),
    "a pod ended by itself, for no known reason": (FAILED, [pod(terminated={"reason": "Error", "exitCode": 1})]),
}


def test_ends_of_a_job_are_those_of_the_code():
    told = re.findall(r"^\| (.+) \| `([A-Z_]+)` \| (\d+) \|$", section("How it ends"), re.M)
    known = {said: state.ending(*seen) for said, seen in ENDS.items()}

    assert [(said, found["code"], str(int(codes.exit_code([found])))) for said, found in known.items()] == told
