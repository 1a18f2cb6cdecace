# SPDX-License-Identifier: Apache-2.0
"""Keywords mean what the options of the command line mean, and are refused where those are."""

import enum
import os
from datetime import timedelta
from pathlib import Path

import pytest

from madctl import cli
from madctl.api import keywords
from madctl.errors import KeywordError, MadctlError, UsageError
from madctl.request.role_variables import check_variables, launch_variables, secrets
from madctl.verbs import launch

pytestmark = pytest.mark.usefixtures("known_python")

SLURM = ["--on", "slurm", "--nodes", "4"]
PODS = ["--on", "k8s", "--nnodes", "2", "--image", "i"]
IN_SLURM = {"on": "slurm", "nodes": 4}
IN_PODS = {"on": "k8s", "nnodes": 2, "image": "i"}

SAME = {
    "nothing": ([], {}),
    "left out": ([], {"nproc_per_node": None, "env": None, "detach": None, "shared_path": None}),
    "numbers": (["--nproc-per-node", "8", "--max-restarts", "2"], {"nproc_per_node": 8, "max_restarts": "2"}),
    "words": (["--runner", "mpirun", "--gpus", "min"], {"runner": "mpirun", "gpus": "min"}),
    "switches": (["--command", "--no-install"], {"command": True, "no_install": True, "allow_run_as_root": False}),
    "lists": (["--shared-path", "/a", "--shared-path", "/b:ro"], {"shared_path": ["/a", "/b:ro"]}),
    "list of one": (["--shared-path", "/a"], {"shared_path": "/a"}),
    "tuple": (["--skip", "clock", "--skip", "limits"], {"skip": ("clock", "limits")}),
    "environment": (["--env", "A=1", "--env", "B=", "--env", "HOME"], {"env": {"A": 1, "B": "", "HOME": None}}),
    "environment as typed": (["--env", "A=b=c"], {"env": ["A=b=c"]}),
    "value like an option": (["--note=--x"], {"note": "--x"}),
    "lines": (["--env", "A=1\n2 3"], {"env": {"A": "1\n2 3"}}),
    "time": (["--timeout", "90"], {"timeout": timedelta(seconds=90)}),
    "time in words": (["--timeout", "1h30m", "--idle-timeout", "600"], {"timeout": "1h30m", "idle_timeout": 600.0}),
    "path": (["--chdir", "/w", "--run-dir", "/r"], {"chdir": Path("/w"), "run_dir": Path("/r")}),
    "words of mpirun": (
        ["--runner", "mpirun", "--mpi-args", "-x 'A B'"],
        {"runner": "mpirun", "mpi_args": ["-x", "A B"]},
    ),
    "words as typed": (["--runner", "mpirun", "--mpi-args", "-x A"], {"runner": "mpirun", "mpi_args": "-x A"}),
    "models": (
        ["--tags", "a", "b", "--additional-context", "{'c': [1, True]}", "--replace-containers"],
        {"tags": ["a", "b"], "additional_context": {"c": [1, True]}, "replace_containers": True},
    ),
    "name": (["--name", "n-1", "--note", "a note"], {"name": "n-1", "note": "a note"}),
    "slurm": ([*SLURM, "--time", "1:00:00", "--exclusive"], {**IN_SLURM, "time": "1:00:00", "exclusive": True}),
    "slurm, words": ([*SLURM, "--sbatch-args", "--mail-user=a"], {**IN_SLURM, "sbatch_args": ["--mail-user=a"]}),
    "pods": (
        [
            *PODS,
            "--resource",
            "rdma/hca=1",
            "--volume",
            "c:/d",
            "--gpus-per-node",
            "8",
            "--gpu-resource",
            "amd.com/gpu",
        ],
        {**IN_PODS, "resource": {"rdma/hca": 1}, "volume": ["c:/d"], "gpus_per_node": 8, "gpu_resource": "amd.com/gpu"},
    ),
}


OF_LAUNCH = ("left out", "value like an option", "name")
CASES = [
    (command, name) for command in ("launch", "check") for name in SAME if command == "launch" or name not in OF_LAUNCH
]


@pytest.mark.parametrize(("command", "name"), CASES)
def test_keywords_make_the_same_variables_as_the_command_line(command, name):
    typed, given = SAME[name]
    work = [] if "tags" in given else ["train.py", "--lr", "0.1"]
    make = launch_variables if command == "launch" else check_variables
    asked = keywords.parsed(command, work, given)

    assert make(asked.options, asked.environment) == make(cli.parsed([command, *typed, "--", *work]))


def test_hosts_may_be_a_list():
    assert keywords.parsed("launch", ["t.py"], {"hosts": ["gpu[1-2]", "a"]}).options.hosts == "gpu[1-2],a"


def test_every_option_is_a_keyword():
    for command in ("launch", "check"):
        parser = cli.build_parser().commands[command]
        longs = {
            word[2:].replace("-", "_")
            for action in parser._actions
            for word in action.option_strings
            if word[:2] == "--"
        }

        left_out = {"help", "help_all", "output", "dry_run", "with_secret", "profile", "on_end", "notify"}
        assert longs - keywords.actions(command).keys() <= left_out


class Text(str, enum.Enum):
    ONE = "one"


def test_each_word_of_the_work_is_one_word():
    words = ["a b.py", 1, 1.0, 1e-4, Path("/x"), ["--y", ("z",)], Text.ONE, os.fsdecode(b"\xff")]

    assert keywords.parsed("launch", words, {}).options.work == [
        *("a b.py", "1", "1.0", "0.0001", "/x", "--y", "z", "one", "\udcff"),
    ]


NO_SWITCH = ["yes", 1, 0, "", [True]]
WRONG = {
    "unknown": ({"nproc_per_nod": 1}, "did you mean nproc_per_node?"),
    "as typed": ({"nproc-per-node": 1}, "did you mean nproc_per_node?"),
    "dry run": ({"dry_run": True}, "call madctl.check"),
    "output": ({"output": "json"}, "show=True"),
    "truth for a number": ({"nproc_per_node": True}, "text or numbers, not bool"),
    "bytes": ({"hosts": b"a"}, "not bytes"),
    "set": ({"hosts": {"a", "b"}}, "not set"),
    "generator": ({"hosts": (host for host in "ab")}, "not generator"),
    "object": ({"chdir": object()}, "not object"),
    "mapping": ({"hosts": {"a": 1}}, "not dict"),
    "list for one": ({"chdir": ["a", "b"]}, "one value, not list"),
    "nested mapping": ({"env": {"A": {"B": 1}}}, "not dict"),
    "name with =": ({"env": {"A=B": "1"}}, "names without ="),
    "no text as a name": ({"env": {b"A": "1"}}, "not bytes"),
    "what JSON has not": ({"tags": "a", "additional_context": {"a": object()}}, "JSON"),
    "not what JSON has": ({"tags": "a", "additional_context": {1: {2, 3}}}, "JSON"),
    "nul": ({"chdir": "/a\0b"}, "NUL"),
    "nul in a variable": ({"env": {"A": "\0"}}, "NUL"),
    "nul in a list": ({"shared_path": ["/a", "/\0"]}, "NUL"),
    **{f"no switch: {value!r}": ({"detach": value}, "True or False") for value in NO_SWITCH},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_keyword_or_a_type_that_no_option_has_is_a_type_error(name):
    given, words = WRONG[name]
    with pytest.raises(KeywordError, match="USAGE") as caught:
        keywords.parsed("launch", ["t.py"], given)

    assert isinstance(caught.value, TypeError) and isinstance(caught.value, UsageError)
    assert words in str(caught.value) and "object at" not in str(caught.value)


@pytest.mark.parametrize("word", [None, True, b"a", object(), {"a": 1}, "a\0b"])
def test_no_word_of_the_work_is_something_else(word):
    with pytest.raises(KeywordError):
        keywords.parsed("launch", ["t.py", word], {})


REFUSED = {
    "number": ["--nproc-per-node", "0"],
    "word": ["--gpus", "mn"],
    "time": ["--timeout", "soon"],
    "check": ["--skip", "clok"],
    "needs another": ["--mpi-args", "-x A"],
    "of slurm": ["--partition", "p"],
    "of pods": ["--image", "i"],
    "follower": ["--max-restarts", "1", "--detach"],
    "launcher": None,
    "slurm without nodes": ["--on", "slurm"],
    "host only": ["--on", "ssh", "--host", "b"],
    "variable": ["--env", "1A=2"],
    "unset": ["--env", "MADCTL_NO_SUCH"],
    "name": ["--name", "20261129-1025"],
}


def said(call):
    try:
        call()
    except MadctlError as error:
        return error.exit_code, [(one.code, one.message, one.remedy) for one in error.problems]
    return None


def started(options, environment=os.environ):
    launch.require(options)
    launch_variables(options, environment)
    if options.on == "slurm":
        launch.for_slurm(options, environment)
    if options.host:
        launch.on_nodes(options, environment)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_command_line_refuses_is_refused_in_the_same_words(name):
    typed = REFUSED[name] or []
    work = ["t.py"] if typed else ["torchrun", "t.py"]
    pairs = iter(typed)
    given = {word[2:].replace("-", "_"): True if word == "--detach" else next(pairs) for word in pairs}

    def call():
        asked = keywords.parsed("launch", work, given)
        started(asked.options, asked.environment)

    ours = said(call)
    assert ours is not None and ours == said(lambda: started(cli.parsed(["launch", *typed, "--", *work])))


def test_a_secret_that_is_passed_as_a_keyword_is_not_shown():
    given = {"env": {"HF_TOKEN": "hf_x=y z", "MODE": "plain-enough"}}
    asked = keywords.parsed("launch", ["t.py"], given)
    wanted = launch_variables(asked.options, asked.environment)

    assert wanted["madctl_env"] == given["env"]
    assert secrets(asked.options, wanted) == ("hf_x=y z",)
    assert "HF_TOKEN" not in os.environ
