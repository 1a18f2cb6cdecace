# SPDX-License-Identifier: Apache-2.0
"""The table of options: both doors refuse the same values, and specifications and documentation say what it says."""

import importlib
from pathlib import Path

import pytest
import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import SWITCH
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import BY_NAME, TABLE
from madctl import cli
from madctl.errors import UsageError
from tests.unit.playbook_requests import refusals

ROOT = Path(__file__).parents[4]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
# Arguments that are not variables of the playbooks: a playbook sets them by the role's own name, or not at all.
OF_TASKS = {"write", "prove", "known_tags", "net_tools_follow"}


def refused_option(command, option, value):
    with pytest.raises(UsageError) as caught:
        cli.build_parser().parse_args([*command.split(), f"{option}={value}"])
    return [problem.message for problem in caught.value.problems]


# -- both doors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "option", "value", "words"),
    [
        ("launch", "--timeout", "x", "a time such as 90, 10m or 1h30m, 0 for no limit"),
        ("launch", "--idle-timeout", "-1", "a time such as 90, 10m or 1h30m, 0 for no limit"),
        ("launch", "--start-timeout", "0", "a time such as 90, 10m or 1h30m"),
        ("launch", "--start-timeout", "nan", "a time such as 90, 10m or 1h30m"),
        ("launch", "--log-cap", "1T", "a number of bytes, or with K, M or G"),
        ("launch", "--log-cap", "1073741825G", "a number of bytes, or with K, M or G"),
        ("launch", "--nproc-per-node", "0", "a number from 1 to 1024, auto or gpu"),
        ("launch", "--master-port", "65536", "a number from 1 to 65535, or auto"),
        ("launch", "--master-addr", "gpu01", "an IP address of the first node"),
        ("launch", "--interface", "10.0.0.0/33", "a name or a network such as 10.0.0.0/24"),
        ("launch", "--interface", "a-name-too-long-for-linux", "a name or a network such as 10.0.0.0/24"),
        ("launch", "--nnodes", "4097", "a number from 0 to 4096"),
        ("launch", "--max-restarts", "1.5", "a number from 0 to 4096"),
        ("launch", "--gpus", "most", "same, min or per-node"),
        ("launch", "--runner", "slurm", "torchrun or mpirun"),
        ("launch", "--mpirun", "mpirun", "an absolute path"),
        ("launch", "--mpi-args", "a 'b", "words, quoted as for a shell"),
        ("launch", "--force-mirror-local", "data", "an absolute path"),
        ("launch", "--shared-path", "data", "an absolute path"),
        ("logs", "--since", "soon", "now, 30s, 10m, 2h, 1d or a time such as 2026-11-23T10:00"),
        ("collect", "--max-size", "0", "a number of bytes, or with K, M or G"),
        ("gc", "--days", "-1", "a number of days, or a time such as 12h"),
    ],
)
def test_both_doors_refuse_a_value_with_the_same_words(command, option, value, words):
    row = next(row for row in TABLE if row.option == option)

    assert refused_option(command, option, value) == [f"{option} takes {words}, not {value!r}"]
    assert [found["message"] for found in refusals({row.name: value})] == [
        f"{row.variable} takes {words}, not {value!r}"
    ]


@pytest.mark.parametrize(("option", "name"), [("--skip", "skip"), ("--only", "only")])
def test_both_doors_know_the_same_checks(option, name):
    (message,) = refused_option("check", option, "weather")
    (found,) = refusals({name: "storage, weather"})

    assert message.startswith(f"{option} takes one of ") and message.endswith(", not 'weather'")
    assert found["message"] == message.replace(option, f"madctl_{name}")


def test_a_refused_variable_of_the_job_is_named_without_its_value():
    (of_name,) = refusals({"env": {"1A": "s3cret"}})
    (of_type,) = refusals({"env": "A=s3cret"})

    assert of_name["message"] == "madctl_env takes a mapping of valid variable names to values, not '1A'"
    assert of_type["message"].endswith(", not 'str'")


@pytest.mark.parametrize("word", [{}, {"base64": "s3cret"}, {"base64": None}, {"a": "s3cret"}, {"base64": "é"}])
@pytest.mark.parametrize(
    ("name", "whole", "said"),
    [("work", lambda word: [word], "a mapping"), ("env", lambda word: {"A": word}, "A: a mapping")],
    ids=["work", "env"],
)
def test_a_mapping_that_is_no_word_is_refused_without_its_value(name, whole, said, word):
    (refused,) = refusals({name: whole(word)})

    assert refused["message"].startswith(f"madctl_{name} takes ") and refused["message"].endswith(f", not '{said}'")


SAMPLES = {
    "name": "run-1",
    "note": "lr 1e-4, é",
    "work": ["train.py", {"base64": "gA=="}],
    "env": {"A": "1"},
    "nproc_per_node": "gpu",
    "master_port": 29501,
    "master_addr": "192.0.2.1",
    "interface": "10.0.0.7/24",
    "log_cap": "2G",
    "since": "10m",
    "skip": "storage,limits",
    "only": ["proof"],
    "shape": "command",
    "runner": "mpirun",
    "gpus": "min",
    "on": "slurm",
    "k8s_image_pull_policy": "Never",
    "bases": {"a": ["/b"]},
    "show_hosts": ["gpu[1-3]", "a"],
    "show_ranks": "[0-3]",
}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_was_parsed_is_parsed_to_the_same_again(row):
    sample = SAMPLES.get(row.name, "yes" if row.kind is SWITCH else "7" if row.kind.type != "str" else "/a b")
    value = row.parse(sample)

    assert row.parse(value) == value
    if row.split is None and not isinstance(value, (dict, list)):
        assert row.parse(str(value)) == value  # Templates of some Ansible make text of it.


def test_a_default_is_a_value_that_the_option_takes():
    assert [row.name for row in TABLE if row.default is not None and row.parse(row.default) != row.default] == []


# -- specifications and documentation --------------------------------------------------------------------


def arguments_of_role(role):
    text = (ROOT / f"roles/{role}/meta/argument_specs.yml").read_text()
    options = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return {name.removeprefix(role + "_"): option for name, option in options.items()}


def arguments_of_module(name):
    own = yaml.safe_load(
        importlib.import_module(f"ansible_collections.madctl.multinode.plugins.modules.{name}").DOCUMENTATION
    )
    found = dict(own.get("options", {}))
    for fragment in own.get("extends_documentation_fragment", []):
        _, _, rest = fragment.partition("madctl.multinode.")
        file, _, part = rest.partition(".")
        module = importlib.import_module(f"ansible_collections.madctl.multinode.plugins.doc_fragments.{file}")
        text = getattr(module.ModuleDocFragment, (part or "documentation").upper())
        found |= yaml.safe_load(text)["options"]
    return found


def written(row, option):
    """Write what a specification should say of a row, as far as it says anything of it."""
    found = {"type": row.kind.type if row.split is None else "list"}
    if row.split is not None:
        found["elements"] = row.kind.type
    if row.kind.choices:
        found["choices"] = list(row.kind.choices)
    default = [] if row.split is not None else row.default
    if not row.is_internal and default is not None:
        found["default"] = default
    return found if option else None


# A path may be of either type, data is a mapping where it is a plan, and nothing of these is typed by a person.
LOOSE = {"event_socket", "dest", "plan", "bases", "python_required", "chdir_required", "read_only"}
FOUND = [
    *(pytest.param(arguments_of_role(role), id=f"role {role}") for role in ROLES),
    *(pytest.param(arguments_of_module(name), id=f"module {name}") for name in MODULES),
]


@pytest.mark.parametrize("options", FOUND)
def test_a_specification_says_what_the_table_says(options):
    shared = {name: BY_NAME[name] for name in options if name in BY_NAME and name not in LOOSE}
    keys = ("type", "elements", "choices", "default")

    assert {name: {key: options[name][key] for key in keys if key in options[name]} for name in shared} == {
        name: written(row, options[name]) for name, row in shared.items()
    }


@pytest.mark.parametrize(("role", "module"), [("launch", "run_launch"), ("rendezvous", "rendezvous")])
def test_a_role_and_its_module_take_the_same_and_no_option_is_forgotten(role, module):
    specified, documented = set(arguments_of_role(role)), set(arguments_of_module(module))

    assert specified == documented - {"fail_on_problems"}
    assert specified - set(BY_NAME) <= OF_TASKS
    if role == "launch":
        parser = cli.build_parser()._subparsers._group_actions[0].choices["launch"]
        typed = {text for action in parser._actions for text in action.option_strings}
        of_launch = {row.name for row in TABLE if row.option in typed} - {"install"}
        of_job = {name for name in of_launch if name.startswith(("slurm_", "k8s_"))} | {"on", "run_root"}
        assert of_launch - of_job <= specified
        # These are about plans that are made before a job starts; code is sent over SSH alone; and madengine and notes are
        # for none of pods.
        madengine = {"additional_context", "force_mirror_local", "replace_containers"}
        for role, own, other, less in (
            ("slurm", "slurm_", "k8s_", set()),
            ("kubernetes", "k8s_", "slurm_", {*madengine, "note"}),
        ):
            in_job = arguments_of_role(role)
            mine = {name for name in of_launch - {"on"} if not name.startswith(other)}
            assert {name for name in mine if name.replace(own, "") not in in_job} <= {
                "write",
                "plan",
                "only",
                "sync",
                *less,
            }
