# SPDX-License-Identifier: Apache-2.0
"""Names of variables, and remedies in the words of playbooks."""

import ast
import re
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._request import playbook_variables
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import OF_SLURM, TABLE
from ansible_collections.madctl.multinode.plugins.module_utils._ways import ssh

ROOT = Path(__file__).parents[4]
OPTION = re.compile(r"--[a-z]|\bmadctl (?!itself|never|tries|does|counts)[a-z]+")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wait for it, stop it, or --skip machine", "wait for it, stop it, or madctl_skip: [machine]"),
        ("choose another --master-port, or auto", "choose another madctl_master_port, or auto"),
        ("choose a --master-port of 1024 or more", "choose a madctl_master_port of 1024 or more"),
        ("choose one: --interface NAME or CIDR", "choose one: madctl_interface: NAME or CIDR"),
        ("mount it rw, or --shared-path PATH:ro", "mount it rw, or madctl_shared_paths: [PATH:ro]"),
        ("or --gpus min", "or madctl_gpus: min"),
        ("log in as a user, or --allow-run-as-root", "log in as a user, or madctl_allow_run_as_root: true"),
        ("--replace-containers", "madctl_replace_containers"),
        ("check --user and your key: ssh a", "check ansible_user and your key: ssh a"),
        (
            "madctl stop 20261129-101010-abcdef01",
            "ansible-playbook madctl.multinode.stop -e madctl_run_id=20261129-101010-abcdef01",
        ),
        (
            "see madctl logs 20261129-101010-abcdef01 --rank 3",
            "see ansible-playbook madctl.multinode.logs -e madctl_run_id=20261129-101010-abcdef01 -e madctl_show_ranks=3",
        ),
        (
            "see madctl logs 20261129-101010-abcdef01.1 --host gpu02",
            "see ansible-playbook madctl.multinode.logs -e madctl_run_id=20261129-101010-abcdef01.1 --limit gpu02",
        ),
        ("see madctl ps", "see ansible-playbook madctl.multinode.ps"),
        ("ssh-keygen -R HOST, if right", "ssh-keygen -R HOST, if right"),
        ("apt-get install --no-install-recommends x", "apt-get install --no-install-recommends x"),
    ],
)
def test_a_remedy_in_the_words_of_playbooks(text, expected):
    assert playbook_variables.in_words_of_playbooks(text) == expected


# Where a call that reports a problem has its message and its remedy.
PLACES = {"problem": (2, 3), "Refused": (1, 2)}
# A program that is not madctl, and has such an option.
FOREIGN = {"%s --upgrade"}


def literals(place):
    """List every string of the brain's judges and of actions, in which a message or a remedy may stand."""
    for folder in ("module_utils", "plugin_utils", "action"):
        for path in sorted((ROOT / "plugins" / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
                for argument in node.args[PLACES[name][place] :][:1] if name in PLACES else ():
                    for part in ast.walk(argument):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield part.value


def test_no_remedy_keeps_an_option_of_madctl():
    remedies = {finding.remedy for check in catalog.CHECKS for finding in check.findings if finding.remedy}
    remedies |= {*literals(1), *ssh.remedies("HOST").values()} - FOREIGN
    told = {remedy: playbook_variables.in_words_of_playbooks(remedy) for remedy in remedies}

    assert len(told) > 100
    assert {remedy: text for remedy, text in told.items() if OPTION.search(text)} == {}


def test_no_message_names_an_option_of_madctl():
    found = {text for text in literals(0) if OPTION.search(text)}

    assert found == set()


def test_the_names_are_those_that_roles_playbooks_and_documents_have():
    code = "".join(path.read_text() for part in ("roles", "playbooks") for path in (ROOT / part).rglob("*.yml"))
    used = set(re.findall(r"\bmadctl_[a-z0-9_]+\b", code))
    page = (ROOT / "docs/reference/playbooks.md").read_text()
    documented = set(re.findall(r"`(madctl_[a-z0-9_]+)", page))

    assert used <= playbook_variables.NAMES | playbook_variables.INTERNAL
    assert documented <= playbook_variables.NAMES
    # These two belong to hosts, and the inventory sets them.
    assert playbook_variables.NAMES - used <= {"madctl_node_rank", "madctl_slots"}
    assert documented == playbook_variables.NAMES


def test_an_option_of_several_schedulers_is_told_by_the_name_that_it_had_first():
    shared = {row.option for row in TABLE if row.scheduler == "k8s"} & {row.option for row in OF_SLURM}

    assert shared == {"--gpus-per-node"}
    assert playbook_variables.in_words_of_playbooks("--gpus-per-node N") == "madctl_slurm_gpus_per_node: N"
    assert playbook_variables.in_words_of_playbooks("--exclusive") == "madctl_slurm_exclusive: true"


def test_a_misspelled_name_is_told_with_the_one_that_was_meant():
    given = ["madctl_nprocpernode", "madctl_zzz", "madctl_work", "madctl_plan", "other_nprocpernode", "madctl"]
    found = playbook_variables.unknown(given)

    assert [(entry["code"], entry["message"]) for entry in found] == [
        ("VARIABLE_UNKNOWN", "there is no variable madctl_nprocpernode"),
        ("VARIABLE_UNKNOWN", "there is no variable madctl_zzz"),
    ]
    assert found[0]["remedy"] == "did you mean madctl_nproc_per_node?"
    assert found[1]["remedy"].startswith("known: madctl_additional_context, ")


def test_a_tag_that_no_task_has():
    assert playbook_variables.unknown_tags(["all", "check", "always"], ["check", "launch"]) == []
    (found,) = playbook_variables.unknown_tags(["chekc"], ["check", "launch"])
    assert (found["code"], found["remedy"]) == ("TAG_UNKNOWN", "did you mean check?")
    (elsewhere,) = playbook_variables.unknown_tags(["slurm"], ["check", "launch"])
    assert (elsewhere["code"], elsewhere["remedy"]) == ("TAG_UNKNOWN", "leave the tag out")
    assert elsewhere["message"] == "tasks with the tag slurm run only with madctl_on=slurm"
    assert playbook_variables.unknown_tags(["slurm"], ["launch", "slurm"]) == []


def test_playbooks_know_the_tags_that_their_tasks_have():
    import yaml

    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        plays = yaml.safe_load(path.read_text())
        assert all(play["strategy"] == "ansible.builtin.linear" for play in plays), path
        # On hosts, in a job of Slurm, in a cluster: each has a block.
        tasks = [task for play in plays for part in play["tasks"] for task in part.get("block", [part])]
        given = [play_or_task.get("vars", {}) for play_or_task in (*plays, *tasks)]
        known = [value for own in given for name, value in own.items() if name.endswith("_known_tags")]
        # Those of schedulers are on their own tasks, which know them.
        used = {tag for task in tasks for tag in task["tags"]} - {"always", "slurm", "kubernetes"}
        # A verb's own name also means the stages before it, which always run.
        stages = {"check"} if path.stem in ("check", "launch") else set()

        # Without a list, the first task knows its own.
        assert set(known[0] if known else tasks[0]["tags"]) - {"always"} == used | stages, path
        assert "always" in tasks[0]["tags"], path
