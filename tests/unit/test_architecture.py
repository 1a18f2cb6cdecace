# SPDX-License-Identifier: Apache-2.0
"""The import law: madctl → roles → plugins → module_utils → standard library, never back."""

import ast
import re
import sys
from pathlib import Path

import graphlib
import pytest

ROOT = Path(__file__).parents[2]
OURS = "ansible_collections.madctl.multinode.plugins.module_utils"


def imports(path):
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)
        elif isinstance(item, ast.ImportFrom):
            assert not item.level, f"{path}: imports are by full names, so that they can be judged"
            yield from (f"{item.module}.{alias.name}" for alias in item.names)


def is_standard(name):
    return name.partition(".")[0] in sys.stdlib_module_names


def files(pattern):
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in sorted(ROOT.glob(pattern))]


def in_brain(path):
    return path.relative_to(ROOT / "plugins/module_utils")


# The rooms of the brain, and what each stands on. What stands on _node runs on nodes.
ON_NODES = {"_common", "_node"}
ROOMS = {
    "_common": set(),
    "_node": {"_common"},
    "_request": {"_common"},
    "_probe": ON_NODES,
    "_plan": {"_common", "_request"},
    "_arm": ON_NODES,
    "_supervise": ON_NODES,
    # Reads code on this machine, and keeps it on nodes.
    "_sync": ON_NODES,
    "_follow": {"_common"},
    "_runs": ON_NODES,
    "_show": {"_common"},
    "_ways": {"_common", "_request"},
    # Submits jobs, and reads what became of them, on a login node.
    "_submit": ON_NODES,
    # The one stage that imports others: it conducts those that judge and follow, and calls by name what runs on nodes.
    "_conduct": {"_common", "_node", "_request", "_ways", "_plan", "_follow", "_runs", "_sync"},
    # The conductor as a program of a scheduler's job.
    "_job": {"_common", "_node", "_request", "_ways", "_plan", "_show", "_conduct", "_runs", "_sync"},
    # What a run puts into a cluster of Kubernetes, whose pods run that program.
    "_kubernetes": {"_common", "_node", "_request", "_job"},
}
CONDUCTOR = "_conduct"


@pytest.mark.parametrize("path", files("plugins/module_utils/*/**/*.py"))
def test_a_stage_stands_on_the_ground_floors_and_imports_no_other_stage(path):
    room = in_brain(path).parts[0]
    ours = [name for name in imports(path) if not is_standard(name)]

    assert {name.removeprefix(OURS + ".").partition(".")[0] for name in ours} <= ROOMS[room] | {room}


def test_only_the_conductor_stands_on_stages_and_on_ways():
    ground = {"_common", "_node", "_request"}

    assert {room for room, floors in ROOMS.items() if floors - ground - {"_job"}} == {CONDUCTOR, "_job"}
    assert [room for room, floors in ROOMS.items() if "_job" in floors] == ["_kubernetes"]
    assert [room for room, floors in ROOMS.items() if CONDUCTOR in floors] == ["_job"]


def test_the_conductor_imports_of_what_runs_on_nodes_only_what_both_ends_have_to_agree_on():
    names = {name for path in (ROOT / "plugins/module_utils" / CONDUCTOR).glob("*.py") for name in imports(path)}
    ours = {name.removeprefix(OURS + ".") for name in names if name.startswith(OURS)}
    on_nodes = {".".join(name.split(".")[:2]) for name in ours if name.startswith(("_node.", "_runs."))}

    assert on_nodes == {"_node.own_sources", "_runs.packing"}


def test_the_brain_s_files_are_in_its_rooms():
    assert [path.name for path in (ROOT / "plugins/module_utils").glob("*.py")] == ["__init__.py"]


# The floors of madctl, lowest first, and what each stands on.
FLOORS = {
    "errors": set(),
    "version": set(),
    "result": {"errors"},
    "ansible_settings": {"errors"},
    "lab": {"errors"},
    "request": {"errors"},
    "settings": {"errors", "request"},
    "screen": {"errors", "result"},
    "after": {"errors", "version", "result", "screen"},
    "jobs": {"errors"},
    "nodes": {"errors", "ansible_settings", "lab", "screen", "jobs"},
    "records": {"errors", "nodes"},
    "playbook": {"errors", "result", "ansible_settings", "screen", "after", "nodes", "records", "jobs"},
    "verbs": {"errors", "result", "lab", "request", "screen", "nodes", "records", "jobs", "playbook"},
    "housekeeping": {"errors", "result", "nodes", "records", "jobs", "playbook"},
    "report": {"errors", "version", "screen", "records", "playbook", "verbs"},
    "commands": {
        *("errors", "result", "lab", "request", "settings", "screen", "nodes", "records", "jobs", "playbook"),
        *("after", "verbs", "housekeeping", "report"),
    },
    # Beside the command line, the other way in: its parsers say which options there are.
    "api": {
        *("errors", "result", "request", "screen", "nodes", "records", "jobs", "playbook"),
        *("verbs", "commands"),
    },
    "__init__": {"errors", "version", "api"},
    "cli": {"errors", "version", "result", "request", "settings", "screen", "commands"},
    "__main__": {"cli"},
}


def room(path):
    """Name a room of madctl, which is a folder or a file of its own."""
    return path.relative_to(ROOT / "madctl").with_suffix("").parts[0]


@pytest.mark.parametrize("path", files("madctl/**/*.py"))
def test_a_room_of_madctl_imports_only_what_it_stands_on(path):
    """Within functions, too: an import there saves time at the start, and opens no way up."""
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("madctl.")}

    assert ours <= FLOORS.get(room(path), set()) | {room(path)}


def test_every_floor_of_madctl_stands_on_lower_ones():
    floors = list(FLOORS)

    assert not [name for at, name in enumerate(floors) if not FLOORS[name] <= set(floors[:at])]
    assert {room(path) for path in ROOT.glob("madctl/**/*.py")} == set(floors)


@pytest.mark.parametrize("path", files("madctl/**/*.py"))
def test_madctl_imports_of_the_brain_only_what_runs_anywhere(path):
    ours = {name for name in imports(path) if name.startswith("ansible_collections.")}

    assert {name.removeprefix(OURS + ".").partition(".")[0] for name in ours} <= {
        "_common",
        "_request",
        "_show",
        "_ways",
        "_follow",
        CONDUCTOR,
        "_job",
        "_kubernetes",
        "_submit",
        "_sync",
    }


def test_no_import_goes_in_circles():
    """Of modules, whatever they import within functions, too."""
    names = {}
    for path in [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("madctl/**/*.py")]:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        names[module if module.startswith("madctl") else f"ansible_collections.madctl.multinode.{module}"] = path
    graph = {
        module: {one for name in imports(path) for one in (name, name.rpartition(".")[0]) if one in names} - {module}
        for module, path in names.items()
    }

    assert sum(map(len, graph.values())) > 500
    graphlib.TopologicalSorter(graph).prepare()


# Where the brain may say ssh, in which words, and why.
_MANAGEMENT = "the management network is what ssh comes in by, where it does"
_NAMES = "names of options, and of variables of Ansible's"
_SSH_PORT = "no port of a host list is below that of ssh: such a number is one of slots"
_LAUNCHER = "MPI starts its daemons with ssh, and our agent stands in its place"
_SHELL = "mpirun is looked for on the PATH of a shell that nobody types in, which is the one of ssh"
_SOCKETS = "sockets that ssh makes have the longest names"
SSH = {
    "_common/catalog.py": {"the network that SSH uses": _MANAGEMENT},
    "_common/private_places.py": {
        "ssh, ansible-runner and Ansible give a meaning": _SOCKETS,
        "for what ssh adds to one": _SOCKETS,
    },
    "_plan/common_networks.py": {"SSH came in by": _MANAGEMENT, "the network that SSH uses": _MANAGEMENT},
    "_plan/checks/mpi.py": {"on the PATH of ssh sessions": _SHELL},
    "_plan/network_choice.py": {"the one that SSH came in by": _MANAGEMENT, "SSH uses it": _MANAGEMENT},
    "_plan/runners/mpirun.py": {'"PRTE_MCA_", "ssh"': _LAUNCHER, '"rsh"': _LAUNCHER},
    "_probe/node_facts.py": {
        "SSH_CONNECTION": _MANAGEMENT,
        "address of an SSH connection": _MANAGEMENT,
        "if sshd knows none": _MANAGEMENT,
    },
    "_request/host_files.py": {
        "hostlist.SSH_PORT": _SSH_PORT,
        "reads like an SSH port": _SSH_PORT,
        "or Port in your ssh configuration": _SSH_PORT,
    },
    "_request/hostlist.py": {"SSH_PORT": _SSH_PORT},
    "_request/variables.py": {
        '"ssh_args"': _NAMES,
        '"--ssh-config"': _NAMES,
        'kinds.choice("ssh", "slurm", "k8s"), default="ssh"': _NAMES,
        "ansible_ssh_common_args": _NAMES,
    },
    "_supervise/mpi_agent.py": {
        "Stand in for ssh under mpirun": _LAUNCHER,
        "like ssh, it joins the words": _LAUNCHER,
        "as ssh would": _LAUNCHER,
    },
    "_supervise/mpi_relay.py": {"in place of ssh": _LAUNCHER},
}


# The files about ssh: the way itself, what records ways, and what asks Ansible for it.
OF_SSH = {"module_utils/_ways/ssh.py", "module_utils/_ways/kept.py", "plugin_utils/_nodes/ansible_ssh.py"}


def about_ssh(path, allowed):
    """Find the lines of a file that say ssh beside what it may say, which it has to."""
    text = path.read_text()
    for words in allowed:
        assert words in text
        text = text.replace(words, "")
    return re.findall(r".*ssh.*", text, re.IGNORECASE)


@pytest.mark.parametrize("path", files("plugins/module_utils/*/**/*.py"))
def test_the_brain_does_not_know_by_which_way_nodes_are_reached(path):
    name = str(in_brain(path))

    assert f"module_utils/{name}" in OF_SSH or about_ssh(path, SSH.get(name, {})) == []


# Which ways there are, and the option of Ansible's that other modules get.
CHOICE = (
    *("_ways.ssh import Ssh", "ansible_ssh", '"ssh_extra_args"', '"ssh"', "else Ssh", "return Ssh("),
    *("log in where ssh does", "_SSH = (", '"paramiko_ssh"', "in _SSH", "ansible_connection to ssh or local"),
)


@pytest.mark.parametrize("path", [*files("plugins/plugin_utils/**/*.py"), *files("plugins/[ac]*/*.py")])
def test_one_of_our_ways_alone_says_ssh(path):
    name = str(path.relative_to(ROOT / "plugins"))

    assert name in OF_SSH or about_ssh(path, CHOICE if path.name == "choose_way.py" else ()) == []


def test_files_that_may_say_ssh_exist():
    names = {*OF_SSH, *(f"module_utils/{name}" for name in SSH)}

    assert [name for name in names if not (ROOT / "plugins" / name).exists()] == []


@pytest.mark.parametrize("path", files("plugins/modules/*.py"))
def test_modules_import_no_more_of_ansible_than_module_utils(path):
    allowed = [n for n in imports(path) if is_standard(n) or n.startswith(("ansible.module_utils.", OURS))]

    assert list(imports(path)) == allowed


@pytest.mark.parametrize("path", files("madctl/**/*.py"))
def test_madctl_imports_no_ansible_and_only_the_engine_imports_the_runner(path):
    found = list(imports(path))

    assert not [name for name in found if name.partition(".")[0] == "ansible"]
    assert not [name for name in found if name.startswith("madctl.cli") and path.name != "__main__.py"]
    assert path.name == "engine.py" or not [name for name in found if name.startswith("ansible_runner")]
    if path.parent.name == "commands":
        assert not [name for name in found if name.startswith("madctl.commands")]


# The process of a lab's host talks only to the one that started it.
PRINTERS = ("madctl/screen/terminal.py", "madctl/lab/host.py")


def printing(path):
    """Find what could print in another way than through ``madctl.screen.terminal``."""
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Name) and item.id in ("print", "breakpoint", "input"):
            yield item.id
        if isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name):
            name = f"{item.value.id}.{item.attr}"
            if name in ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "sys.excepthook", "os.write"):
                yield name
        if isinstance(item, ast.ImportFrom) and item.module in ("sys", "builtins"):
            yield f"from {item.module}"


@pytest.mark.parametrize("path", files("madctl/**/*.py"))
def test_only_one_file_prints(path):
    assert str(path.relative_to(ROOT)) in PRINTERS or not list(printing(path))


@pytest.mark.parametrize("path", files("plugins/[acip]*/**/*.py"))
def test_what_imports_ansible_itself_is_gpl(path):
    assert not path.read_text() or path.read_text().splitlines()[0].endswith(": GPL-3.0-or-later")


MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 50
# Tables are read by their rows, not from top to bottom.
TABLES = {"catalog.py", "options.py", "variables.py", "events.py", "shapes.py"}


@pytest.mark.parametrize("path", [*files("madctl/**/*.py"), *files("plugins/**/*.py")])
def test_every_file_and_every_function_is_short_enough_to_read(path):
    text = path.read_text()
    functions = [
        item for item in ast.walk(ast.parse(text)) if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {item.name for item in functions if item.end_lineno - item.lineno >= MOST_LINES_OF_A_FUNCTION}

    assert path.name in TABLES or len(text.splitlines()) <= MOST_LINES
    assert not long


def test_no_test_module_imports_another_one():
    """Shared code is a fixture or a module of its own; otherwise no test file can be read or moved by itself."""
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in ROOT.glob("tests/**/*.py")
        for name in imports(path)
        if name.startswith("tests.") and re.search(r"\.test_\w+(\.|$)", name)
    }

    assert found == set()
