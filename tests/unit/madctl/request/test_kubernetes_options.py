# SPDX-License-Identifier: Apache-2.0
"""What a command line with --on k8s asks for, and what is refused there or anywhere else."""

import json
import os
import shlex
import sys

import pytest

from madctl import cli
from madctl.errors import ExitCode, UsageError
from madctl.request import kubernetes_options, role_variables, scheduler_options, slurm_options

pytestmark = pytest.mark.usefixtures("one_parser")
ENVIRONMENT = {"PATH": os.environ["PATH"], "TOKEN": "of here"}
VALUES = {
    "--image-pull-policy": "Always",
    "--run-as-user": "1000",
    "--ttl": "1h",
    "--nodes": "2",
    "--port": "22",
}


def parsed(line):
    return cli.parsed(["launch", "--on", "k8s", *shlex.split(line)])


def variables(line):
    options = parsed(line)
    scheduler_options.refuse_foreign(options)
    kubernetes_options.require(options)
    return role_variables.launch_variables(options, ENVIRONMENT)


def refused(line):
    with pytest.raises(UsageError) as caught:
        variables(line)
    assert caught.value.exit_code == ExitCode.USAGE
    return [str(problem) for problem in caught.value.problems]


def typed(option):
    """Return the words of an option, with a value if it takes one."""
    action = next(
        each
        for each in cli.parsed(["launch", "x.py"]).parser.commands["launch"]._actions
        if option in each.option_strings
    )
    return [option] if action.nargs == 0 else [option, VALUES.get(option, "a")]


# -- what is asked for ----------------------------------------------------------------------------------------


def test_options_become_variables():
    found = variables(
        "--nnodes 2 --image i --gpus-per-node 8 --gpu-resource amd.com/gpu --cpu 4 --memory 8Gi --exclusive --ttl 1h "
        "--host-network --queue q --volume a:/x --run-root /x/runs -- train.py"
    )
    expected = {
        "nnodes": 2,
        "k8s_image": "i",
        "k8s_gpus_per_node": 8,
        "k8s_gpu_resource": "amd.com/gpu",
        "k8s_cpu": "4",
        "k8s_memory": "8Gi",
        "k8s_exclusive": True,
        "k8s_ttl": 3600.0,
        "k8s_host_network": True,
        "k8s_queue": "q",
        "k8s_volumes": ["a:/x"],
        "run_root": "/x/runs",
        "on": "k8s",
        "work": ["train.py"],
    }

    assert {name: found["madctl_" + name] for name in expected} == expected
    assert not [name for name in found if name.startswith("madctl_slurm_")]


def test_lists_are_given_by_commas_or_several_times_but_a_path_may_have_commas():
    found = variables(
        "--nnodes 2 --image i --node-selector a=b,c=d --node-selector e=f --toleration a,b:NoSchedule --resource a/b=1,c/d=2 "
        "--image-pull-secret a,b --image-pull-secret c --volume a:/x,y --volume b:/z:ro -- train.py"
    )

    assert found["madctl_k8s_node_selector"] == ["a=b", "c=d", "e=f"]
    assert found["madctl_k8s_tolerations"] == ["a", "b:NoSchedule"]
    assert found["madctl_k8s_resources"] == ["a/b=1", "c/d=2"]
    assert found["madctl_k8s_image_pull_secrets"] == ["a", "b", "c"]
    assert found["madctl_k8s_volumes"] == ["a:/x,y", "b:/z:ro"]


@pytest.mark.parametrize("words", ["--nodes 3", "--nnodes 3", "--nodes 3 --nnodes 3", "--nodes 3 --nnodes 0"])
def test_nodes_are_pods(words):
    assert variables(f"{words} --image i -- train.py")["madctl_nnodes"] == 3


def test_nothing_of_this_machine_goes_to_pods():
    found = variables("--nnodes 2 --image i --env A=1 --env TOKEN -- train.py")

    assert not {"madctl_python", "madctl_chdir"} & set(found)
    assert found["madctl_python_required"] is found["madctl_chdir_required"] is False
    assert found["madctl_env"] == {"A": "1", "TOKEN": "of here"}
    text = json.dumps(found)
    assert not [one for one in (os.getcwd(), sys.executable, os.path.expanduser("~")) if one in text]


def test_what_the_user_says_of_the_image_is_kept():
    found = variables("--nnodes 2 --image i --python /opt/bin/python3 --chdir /app -- train.py")

    assert (found["madctl_python"], found["madctl_python_required"]) == ("/opt/bin/python3", True)
    assert (found["madctl_chdir"], found["madctl_chdir_required"]) == ("/app", True)


@pytest.mark.parametrize("words", ["--runner torchrun", "--runner mpirun --allow-run-as-root", "--command", ""])
def test_every_runner_works_in_pods(words):
    assert variables(f"--nnodes 2 --image i {words} -- a.py")["madctl_work"] == ["a.py"]


def test_a_run_in_pods_follows_itself():
    found = variables("--nnodes 2 --image i --detach --idle-timeout 9 --max-restarts 1 -- a.py")

    assert (found["madctl_detach"], found["madctl_max_restarts"]) == (True, 1)


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "--hosts a,b",
            "Kubernetes chooses the nodes of a run, and --hosts names some; use --node-selector, or leave out --on k8s",
        ),
        (
            "--user me",
            "--user is about nodes that are reached by SSH, and pods are not; leave it out, or choose the user of the pods with --run-as-user",
        ),
        ("--port 22", "--port is about nodes that are reached by SSH, and pods are not; leave it out"),
        ("--nodes 3", "--nodes 3 and --nnodes 2 differ, and there are no spare pods; leave one of them out"),
        ("--with-secret", "--with-secret needs --dry-run"),
        ("--output yaml", "--output yaml needs --dry-run"),
        ("--gpus-per-node h200:8", "--gpus-per-node takes a number from 0 to 1024, not 'h200:8'"),
        ("--gpus-per-node 1025", "--gpus-per-node takes a number from 0 to 1024, not '1025'"),
        (
            "--gpus-per-node 8",
            "--gpus-per-node needs the name by which the cluster offers its GPUs; set --gpu-resource to amd.com/gpu or nvidia.com/gpu",
        ),
        ("--node-selector a=b,,c=d", "--node-selector takes one line of text, not ''"),
        ("--run-as-user 0", "--run-as-user takes a number from 1 to 2147483647, not '0'"),
        (
            "--image-pull-policy always",
            "--image-pull-policy takes Always, IfNotPresent or Never, not 'always'; did you mean Always?",
        ),
        ("--ttl 0", "--ttl takes a time such as 90, 10m or 1h30m, not '0'"),
        ("--cpu ''", "--cpu takes one line of text, not ''"),
        ("--nnodes 2:4", "--nnodes takes a number from 0 to 4096, not '2:4'"),
        ("--privileged", "unknown option --privileged; did you mean --profile?"),
        (
            "--tags dummy",
            "--tags: madengine starts containers with docker, which pods do not have; run the script of the model in the image of the model",
        ),
    ],
)
def test_what_means_nothing_to_pods_is_refused_with_what_to_do(words, said):
    assert refused(f"--nnodes 2 --image i {words} {'' if 'tags' in words else '-- a.py'}") == [f"{said} [USAGE]"]


def test_what_is_needed_is_said_at_once():
    assert refused("-- a.py") == [
        "the number of nodes is missing; set --nnodes [USAGE]",
        "the container image is missing; set --image [USAGE]",
    ]


@pytest.mark.parametrize("option", [*kubernetes_options._OF_HOSTS, *kubernetes_options._OF_WAYS])
def test_options_about_nodes_are_refused_to_pods(option):
    (said,) = refused(shlex.join(["--nnodes", "2", "--image", "i", *typed(option), "--", "a.py"]))

    assert said.startswith((f"{option} is about nodes", f"Kubernetes chooses the nodes of a run, and {option} names"))


def test_every_option_about_nodes_is_one_of_these():
    groups = cli.parsed(["launch", "x.py"]).parser.commands["launch"]._action_groups
    (group,) = [group for group in groups if group.title == "nodes"]
    offered = {action.option_strings[-1] for action in group._group_actions}

    assert offered == {*kubernetes_options._OF_HOSTS, *kubernetes_options._OF_WAYS}


ALONE = [
    *((option, on, "k8s") for option in kubernetes_options.ALONE for on in ("ssh", "slurm")),
    *((option, on, "slurm") for option in slurm_options.ALONE for on in ("ssh", "k8s")),
    *((option, "ssh", "slurm or k8s") for option in scheduler_options._SHARED),
]


@pytest.mark.parametrize(("option", "on", "needed"), ALONE)
def test_an_option_of_one_scheduler_is_refused_to_others(option, on, needed):
    options = cli.parsed(["launch", "--on", on, *typed(option), "--", "a.py"])

    with pytest.raises(UsageError, match=f"^{option} needs --on {needed} \\[USAGE\\]$"):
        scheduler_options.refuse_foreign(options)


@pytest.mark.parametrize("on", scheduler_options.ON)
def test_no_scheduler_is_refused_its_own_options(on):
    own = {"ssh": (), "slurm": slurm_options.ALONE, "k8s": kubernetes_options.ALONE}[on]
    shared = () if on == "ssh" else scheduler_options._SHARED
    words = [word for option in (*own, *shared) for word in typed(option)]

    scheduler_options.refuse_foreign(cli.parsed(["launch", "--on", on, *words, "--", "a.py"]))


def test_every_option_of_a_scheduler_belongs_to_one():
    groups = cli.parsed(["launch", "x.py"]).parser.commands["launch"]._action_groups
    of_schedulers = [group for group in groups if group.title in ("job of a scheduler", "Slurm", "Kubernetes")]
    offered = {action.option_strings[-1] for group in of_schedulers for action in group._group_actions}

    assert len(of_schedulers) == 3
    assert offered == {*scheduler_options._OF, "--on"}


@pytest.mark.parametrize("on", ["ssh", "slurm"])
def test_manifests_are_only_for_a_cluster(on, capsys):
    assert cli.main(["launch", "--on", on, "--output", "yaml", "--", "a.py"]) == 2
    assert capsys.readouterr().err == "madctl: --output yaml needs --on k8s [USAGE]\n"
