# SPDX-License-Identifier: Apache-2.0
"""What a record keeps of a command line: all of it but secrets, so that it means the same again."""

import json
import shlex

import pytest

from madctl import cli
from madctl.request import typed
from madctl.request.typed import Option

pytestmark = pytest.mark.usefixtures("one_parser")
LAUNCH = "launch"


def options_of(line):
    options = cli.parsed([LAUNCH, *shlex.split(line)])
    return options, typed.options_of(options.own[1:], options.parser.commands[LAUNCH])


def kept(line):
    options, found = options_of(line)
    return typed.without_secrets(found, options.work)


def meaning(options):
    names = {*vars(options)} - {"parser", "own", "parse", "notice", "run"}
    return {name: getattr(options, name) for name in names}


LINES = [
    "train.py",
    "--hosts gpu[01-16] --timeout 1h train.py --lr 1e-4",
    "--hosts=a,b -- train.py -- x",
    "-i hosts.yml -ihosts2.yml -i=h3.yml --limit x -- -m pkg",
    "--tags a b --replace-containers -- --live-output",
    "--tags a b",
    "--tags=a --replace-containers=",
    "--replace-containers name --tags a",
    "--mpi-args '--map-by core' --runner mpirun a.out",
    "--mpi-args --oversubscribe --runner mpirun a.out",
    "--shared-path /a --shared-path=/b:ro --skip names --command -- sh -c 'a b'",
    "--env A --env B train.py",
    "--on slurm --nodes 2 --sbatch-args --mem=4G --run-root /x train.py",
    "--on k8s --nnodes 2 --image i --volume a=b --volume c=d --resource x=1 train.py",
    "--name big --note 'two words' --detach --output json train.py",
    "--on-end 'mail -s done me' train.py",
    "--note=-x -- train.py",
]


@pytest.mark.parametrize("line", LINES)
def test_what_is_kept_means_the_same(line):
    options, _ = options_of(line)
    found = typed.loaded(json.loads(json.dumps(typed.dumped(kept(line), "/work"))))

    assert found.withheld == ()
    assert meaning(cli.parsed([LAUNCH, *found.words])) == meaning(options)


def test_words_that_are_no_text_are_kept():
    before = typed.Typed((Option("--chdir", ("/\udcff",)),), ["train.py", "\udcff"])
    record = json.loads(json.dumps(typed.dumped(before, "/\udcff")))

    assert typed.loaded(record) == before and record["directory"] == {"base64": "L/8="}


SECRETS = {
    "--env TOKEN=swordfish": ["--env TOKEN"],
    "--env=TOKEN=swordfish": ["--env TOKEN"],
    "--env TOKEN=sword=fish": ["--env TOKEN"],
    "--env TOKEN --env TOKEN=swordfish": ["--env TOKEN"],
    "--env TOKEN=swordfish --env TOKEN": [],
    "--notify https://hooks.example.org/swordfish": ["--notify"],
    "--notify=https://hooks.example.org/swordfish": ["--notify"],
    "--tags x --additional-context \"{'docker_env_vars': {'TOKEN': 'swordfish'}}\"": ["--additional-context"],
    "--runner mpirun --mpi-args '-x TOKEN=swordfish'": ["--mpi-args"],
    "--runner mpirun --mpi-args '-xTOKEN=swordfish'": ["--mpi-args"],
    "--runner mpirun --mpi-args '-genv TOKEN swordfish'": ["--mpi-args"],
    "--runner mpirun --mpi-args '--env TOKEN swordfish'": ["--mpi-args"],
    "--runner mpirun --mpi-args '--mca mca_base_env_list TOKEN=swordfish;B=1'": ["--mpi-args"],
    "--runner mpirun --mpi-args '-x TOKEN --map-by ppr:2:node:PE=2 --bind-to=core'": [],
}


@pytest.mark.parametrize("line", SECRETS)
def test_no_secret_is_kept(line):
    found = kept(f"{line} train.py" if "--tags" not in line else line)

    assert list(found.withheld) == SECRETS[line]
    assert "sword" not in json.dumps(typed.dumped(found, "/")) + found.line


CHANGES = {
    "nothing": ("--timeout 1h train.py a", "", None, "--timeout 1h -- train.py a"),
    "an option": ("--timeout 1h --detach train.py", "--timeout 2h", None, "--detach --timeout 2h -- train.py"),
    "one more": ("train.py", "--detach", None, "--detach -- train.py"),
    "all of its name": ("--skip names --skip port train.py", "--skip gpus", None, "--skip gpus -- train.py"),
    "a variable": ("--env A --env B train.py", "--env B=2 --env C=3", None, "--env A --env B=2 --env C=3 -- train.py"),
    "a short name": ("-i a.yml train.py", "--inventory b.yml", None, "--inventory b.yml -- train.py"),
    "other nodes": ("--hostfile f train.py", "--hosts a", None, "--hosts a -- train.py"),
    "an inventory": ("--lab l --hosts a train.py", "-i b.yml", None, "--inventory b.yml -- train.py"),
    "nodes of a lab": ("--lab l --hosts a train.py", "--hosts b", None, "--lab l --hosts b -- train.py"),
    "what is printed": ("--output json --detach train.py", "", None, "--detach -- train.py"),
    "arguments": ("train.py --lr 1", "", ["--lr", "2"], "-- train.py --lr 2"),
    "no arguments": ("train.py --lr 1", "", [], "-- train.py"),
    "of a module": ("-- -m pkg.train --lr 1", "", ["x"], "-- -m pkg.train x"),
    "of a Python": ("-- python3 -u train.py 1", "", ["x"], "-- python3 -u train.py x"),
    "of a Python's module": ("-- /opt/bin/python -m pkg 1", "", ["x"], "-- /opt/bin/python -m pkg x"),
    "of a text": ("-- python3 -c 'import this' 1", "", ["x"], "-- python3 -c 'import this' x"),
    "behind another program": ("-- numactl -N 0 python train.py 1", "", ["x"], "-- numactl -N 0 python train.py x"),
    "of a shell's script": ("--command -- bash -e run.sh 1 2", "", ["x"], "--command -- bash -e run.sh x"),
    "of a shell": ("--command -- sh -c 'a b'", "", ["-c", "c"], "--command -- sh -c c"),
    "of a program": ("--command -- nvidia-smi -L", "", ["-q"], "--command -- nvidia-smi -q"),
    "of madengine": ("--tags a -- --live-output", "", ["--x"], "--tags a -- --x"),
    "of models without any": ("--tags a", "", ["--x"], "--tags a -- --x"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_changes(case):
    before, changes, arguments, after = CHANGES[case]
    parser = cli.parsed([LAUNCH, "x"]).parser.commands["rerun"]
    found = typed.changed(kept(before), typed.options_of(shlex.split(changes), parser), [], arguments)

    assert shlex.join(found.words) == after


def test_what_is_changed_or_left_out_is_not_missed():
    before = kept("--env A=1 --env B=2 --notify https://h/x --timeout 1h train.py")
    assert before.withheld == ("--env A", "--env B", "--notify") and before.variables == ["A", "B"]

    given = typed.changed(before, [Option("--env", ("A=3",)), Option("--notify", ("https://h/y",))], [], None)
    assert given.withheld == ("--env B",)
    without = typed.changed(before, [], ["--env", "--timeout", "--notify"], None)
    assert (without.options, without.withheld) == ((), ())
    other = typed.changed(before, [Option("--env", ("A=3",))], ["--env"], None)
    assert ([option.words for option in other.options[1:]], other.withheld) == ([["--env", "A=3"]], ("--notify",))
