# SPDX-License-Identifier: Apache-2.0
"""What every role promises: its specification, its defaults and its README say the same."""

import functools
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.module_utils.parsing.convert_bool import boolean

from docs.generators import plugin_docs
from madctl.commands import launch
from madctl.request.parser import Parser
from madctl.request.role_variables import launch_variables

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())
TYPES = {"str", "int", "float", "bool", "list", "dict", "path", "raw"}
UNITS = re.compile(r"\b(Seconds|Bytes|days|Number)\b")
OMIT = "left out"
# Without a default, a role's own or a shared one: it has to be given.
GIVEN = "given"


@functools.cache
def tables():
    spec = importlib.util.spec_from_file_location("role_tables", ROOT / "docs" / "role_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def specification(role):
    return yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]["main"]


@functools.cache
def defaults(role):
    path = ROOT / f"roles/{role}/defaults/main.yml"
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def rendered(value):
    """Return the value of a default if no shared variable is set."""
    if not isinstance(value, str):
        return value
    expression = re.fullmatch(r"\{\{ (.*) \}\}", value)
    if expression is None:
        return value
    environment = jinja2.Environment()
    environment.filters["bool"] = boolean
    found = environment.compile_expression(expression[1], undefined_to_none=False)(omit=OMIT, ansible_check_mode=False)
    return GIVEN if isinstance(found, jinja2.Undefined) else found


def readme(role):
    return (ROOT / f"roles/{role}/README.md").read_text()


def example(role):
    return yaml.safe_load(re.search(r"```yaml\n(.*?)```", readme(role), re.S).group(1))


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_described_with_type_and_unit(role):
    about = specification(role)

    assert about["short_description"]
    assert about["description"]
    for name, option in about["options"].items():
        text = " ".join([option["description"]] if isinstance(option["description"], str) else option["description"])
        assert name.startswith(f"{role}_")
        assert option["type"] in TYPES
        assert option["type"] != "list" or option["elements"] in TYPES
        assert option["type"] not in ("int", "float") or UNITS.search(text), f"{name}: in which unit?"
        assert text[0].isupper() or text.startswith("madengine")
        assert text.endswith(".")


@pytest.mark.parametrize("role", ROLES)
def test_specification_and_defaults_agree(role):
    options, given = specification(role)["options"], defaults(role)

    assert list(options) == [name for name in options if name in given]
    assert set(given) == set(options)
    for name, option in options.items():
        expected = GIVEN if option.get("required") else option.get("default", OMIT)
        found = rendered(given[name])
        assert (found, type(found)) == (expected, type(expected)), name
        assert "choices" not in option or option["default"] in option["choices"]
        assert not (option.get("required") and "default" in option)


@pytest.mark.parametrize("role", ROLES)
def test_tasks_take_every_variable_and_no_other(role):
    text = "".join(
        path.read_text() for path in [*ROOT.glob(f"roles/{role}/tasks/*.yml"), ROOT / f"roles/{role}/meta/main.yml"]
    )
    others = "|".join(sorted(ROLES, key=len, reverse=True))
    inputs = set(re.findall(rf"(?<![\w.]){role}_\w+", text)) - {f"{role}_result", f"{role}_verdict"}

    assert inputs == set(specification(role)["options"])
    assert not re.findall(rf"^ *ansible\.builtin\.set_fact: *\n *(?:{others})_", text, re.M)
    assert set(re.findall(rf"\b((?:{others})_result)\b", text)) <= {f"{role}_result"}


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_says_all_of_it(role):
    text = readme(role)

    assert text == tables().with_table(role), "run python docs/role_tables.py"
    path = ROOT / f"roles/{role}/meta/argument_specs.yml"
    assert path.read_text() == tables().with_examples(role), "run python docs/role_tables.py"
    assert yaml.safe_load(specification(role)["examples"]) == example(role)
    assert text.startswith(f"# {role}\n")
    for name in specification(role)["options"]:
        assert f"| `{name}` |" in text
    for promise in ("Idempotent", "Check mode", "Changes", "Undo", "Serial and free", "Tag"):
        assert f"- **{promise}:** " in text
    named = [entry["role"] for play in example(role) for entry in play["roles"]]
    assert named[-1] == f"madctl.multinode.{role}"


def tasks_of(role):
    for path in ROOT.glob(f"roles/{role}/tasks/*.yml"):
        yield from yaml.safe_load(path.read_text())


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_registers_is_what_its_module_documents(role):
    registered = {task["register"] for task in tasks_of(role) if not task.get("register", "__").startswith("__")}
    named = set(re.findall(rf"\b{role}_result\.(\w+)", readme(role)))
    module = plugin_docs.module_of(role)

    assert registered == ({f"{role}_result"} if module else set())
    assert named <= (set(plugin_docs.returned(module)) if module else set())
    for name, about in (plugin_docs.returned(module) if module else {}).items():
        assert f"| `{name}` | {plugin_docs.kind(about)} | " in readme(role).partition("begin results")[2]
        assert f"C({name})" in specification(role)["description"][-1]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_for_all_nodes_together_says_that_no_play_may_part_them(role):
    acts_once = any(task.get("run_once") for task in tasks_of(role))
    said = re.search(r"\*\*Serial and free:\*\* (yes|no)", readme(role))[1]

    assert said == ("no" if acts_once else "yes")


def used_in(playbook):
    """Return the roles of a playbook, each with the tags of its tasks."""
    found = {}
    for play in yaml.safe_load(playbook.read_text()):
        for task in (task for part in play["tasks"] for task in part.get("block", [part])):
            for verb in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                if verb in task:
                    found.setdefault(task[verb]["name"].rpartition(".")[2], set()).update(task["tags"])
    return found


def test_every_role_of_a_playbook_has_its_name_as_a_tag():
    playbooks = {path.stem: used_in(path) for path in sorted(ROOT.glob("playbooks/*.yml"))}

    for role in ROLES:
        said = " ".join(re.search(r"\*\*Tag:\*\* ((?:.|\n  )*)", readme(role))[1].split())
        having = [name for name, used in playbooks.items() if role in used]
        assert all(role in playbooks[name][role] for name in having), role
        assert set(re.findall(r"`(\w+)`", said)) - {role} == set(having) - {role}
        assert ("of that name" in said) == (role in having)
        assert said.startswith("no playbook") == (not having)


@pytest.mark.slow
def test_the_tags_of_the_playbooks_are_those_that_documents_list():
    page = (ROOT / "docs/reference/playbooks.md").read_text()
    documented = {
        name: set(re.findall(r"`(\w+)`", tags))
        for name, tags in re.findall(
            r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", page.partition("| playbook | tags |")[2], re.M
        )
    }
    names = sorted(path.stem for path in ROOT.glob("playbooks/*.yml"))
    argv = [
        BIN / "ansible-playbook",
        "--list-tags",
        "-i",
        "localhost,",
        *(f"madctl.multinode.{name}" for name in names),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    listed = [set(tags.split(", ")) - {"always"} for tags in re.findall(r"TASK TAGS: \[(.*)\]", done.stdout)]

    assert dict(zip(names, listed, strict=True)) == documented


@pytest.mark.slow
def test_every_example_is_a_playbook(tmp_path):
    path = tmp_path / "examples.yml"
    path.write_text(json.dumps([play for role in ROLES for play in example(role)]))
    done = subprocess.run([BIN / "ansible-playbook", "--syntax-check", path], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_the_variables_of_an_example_are_the_roles(role):
    for play in example(role):
        for entry in play["roles"]:
            name = entry["role"].rpartition(".")[2]
            assert set(entry.get("vars", {})) <= set(specification(name)["options"])


# A value for every option of the job, and what it needs besides.
VALUES = {
    "--nproc-per-node": ["2"],
    "--master-addr": ["192.0.2.1"],
    "--master-port": ["29501"],
    "--gpus": ["min"],
    "--runner": ["mpirun"],
    "--mpirun": ["/opt/mpirun", "--runner", "mpirun"],
    "--mpi-args": ["tag", "--runner", "mpirun"],
    "--additional-context": ["{'a': 1}", "--tags", "a"],
    "--force-mirror-local": ["/data", "--tags", "a"],
    "--replace-containers": ["a", "--tags", "a"],
    "--shared-path": ["/nfs"],
    "--env": ["A=1"],
    "--chdir": ["/srv"],
    "--skip": ["storage"],
    "--log-cap": ["2G"],
}


@functools.cache
def parser():
    commands = Parser().add_subparsers()
    launch.register(commands)
    return commands.choices["launch"]


def job_options():
    groups = ("job", "checks", "models of madengine")
    found = {
        action.option_strings[0]: action
        for group in parser()._action_groups
        if group.title in groups
        for action in group._group_actions
    }
    return [
        (option, action)
        for option, action in found.items()
        if option not in ("--env-file", "--additional-context-file")
    ]


@pytest.mark.parametrize(("option", "action"), job_options(), ids=[option for option, _ in job_options()])
def test_every_option_of_a_launch_is_a_variable_of_a_role(option, action, known_python):
    def variables(*words):
        options = parser().parse_args(list(words))
        options.work = ["train.py"]
        return launch_variables(options, {})

    value = [] if action.nargs == 0 else VALUES.get(option, ["7"])
    with_it, without = variables(option, *value), variables(*value[1:])
    names = {name for name in with_it if with_it[name] != without.get(name)}
    shared = {
        name for role in ROLES for text in map(str, defaults(role).values()) for name in re.findall(r"madctl_\w+", text)
    }

    assert names
    assert names <= shared
