# SPDX-License-Identifier: Apache-2.0
"""Only a runner's own row and file know its name and the shape of its work; all other code asks the row."""

import ast
import re
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, runners
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import order

ROOT = Path(__file__).parents[2]
TABLE, FILES = ROOT / "plugins/module_utils/_common/runners.py", ROOT / "plugins/module_utils/_plan/runners"
WORDS = {row.name for row in runners.ROWS} | {row.shape for row in runners.ROWS}
GROUPS = (ast.Tuple, ast.List, ast.Set)

SPECIFICATIONS = [
    *(ROOT / f"roles/{role}/meta/argument_specs.yml" for role in ("launch", "probe", "rendezvous")),
    ROOT / "plugins/doc_fragments/request.py",
]

# Words that mean something else in a file, and what.
_PROGRAM = "the program itself, which is looked for on a node or recognised on a command line"
_SUBCOMMAND = "the attribute that holds a subcommand"
EXCEPTIONS = {
    "plugins/module_utils/_common/catalog.py": {
        "mpirun": "the row of a check says which runner it is for",
        "model": "the row of a check says which shape of work it is for",
        "madengine": "a check",
    },
    "plugins/module_utils/_common/launchers.py": {
        "torchrun": _PROGRAM,
        "madengine": _PROGRAM,
        "script": "what a Python runs: a script, a module, or code",
    },
    "plugins/module_utils/_common/run_directory.py": {"torchrun": "a directory"},
    "plugins/module_utils/_kubernetes/parcel.py": {"script": "the key of the user's script in an object"},
    "plugins/module_utils/_node/docker.py": {"madengine": _PROGRAM},
    "plugins/module_utils/_plan/checks/order.py": {"madengine": "a check"},
    "plugins/module_utils/_plan/container_scripts.py": {"mpirun": _PROGRAM},
    "plugins/module_utils/_probe/fingerprint.py": {"mpirun": _PROGRAM},
    "plugins/module_utils/_request/variables.py": {"mpirun": "an option, which names the program"},
    "madctl/cli.py": {"command": _SUBCOMMAND},
    "madctl/api/keywords.py": {"command": _SUBCOMMAND},
    "madctl/api/options.py": {"mpirun": "generated from the table", "torchrun": "generated from the table"},
}


def asked(text):
    """
    Return the names of runners and shapes of work that code has, by line, unless the word is the key of an item.

    Keys are ``x["model"]``, ``x.get("model")``, ``{"model": x}``, and one word in a group of other words that nothing
    is compared with.
    """
    tree = ast.parse(text)
    above = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    words = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in WORDS]
    return {(node.lineno, node.value) for node in words if not is_key(node, above)}


def is_key(node, above):
    parent = above[node]
    if isinstance(parent, ast.Starred):
        parent = above[parent]
    if isinstance(parent, ast.Call):
        return isinstance(parent.func, ast.Attribute) and parent.func.attr == "get" and parent.args[0] is node
    if isinstance(parent, ast.Dict):
        keys = {key.value for key in parent.keys if isinstance(key, ast.Constant)}
        return node in parent.keys and len(keys & WORDS) == 1
    if isinstance(parent, GROUPS):
        words = {entry.value for entry in parent.elts if isinstance(entry, ast.Constant)}
        return not isinstance(above[parent], ast.Compare) and len(words & WORDS) == 1 < len(words)
    return isinstance(parent, (ast.Subscript, ast.Expr))


def sources():
    for path in [*sorted(ROOT.glob("plugins/**/*.py")), *sorted(ROOT.glob("madctl/**/*.py"))]:
        if path != TABLE and FILES not in path.parents:
            yield pytest.param(path, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize("path", list(sources()))
def test_no_other_file_asks_for_the_name_of_a_runner_or_the_shape_of_work(path):
    known = EXCEPTIONS.get(str(path.relative_to(ROOT)), {})
    found = asked(path.read_text())

    assert {(line, word) for line, word in found if word not in known} == set()
    assert set(known) <= {word for _, word in found}, "an exception is of no use any more"


ASKING = [
    'runner == "mpirun"',
    '"torchrun" != plan.get("runner")',
    'shape in ("script", "command")',
    'runner in {"mpirun"}',
    'shape not in ["model", "other"]',
    '{"torchrun": f, "mpirun": g}[runner]',
    'shape = "script"',
    'runner = given or "torchrun"',
    'start(shape="model")',
    'def start(runner="torchrun"): ...',
    'match runner:\n    case "mpirun": ...',
    'runner.startswith("mpirun")',
]
NOT_ASKING = [
    'node["model"]',
    'node.get("model")',
    '{"model": work, "argv": []}',
    'KEPT = ("argv", "model")',
    '[event[key] for key in ("address", "command")]',
    'def start():\n    "command"',
]


@pytest.mark.parametrize("code", ASKING)
def test_a_question_for_a_name_is_seen(code):
    assert asked(code)


@pytest.mark.parametrize("code", NOT_ASKING)
def test_the_key_of_an_item_is_no_question(code):
    assert not asked(code)


# -- the table and the files ------------------------------------------------------------------------


def test_every_runner_has_a_row_and_a_file():
    names = [row.name for row in runners.ROWS]

    assert len(names) == len(set(names))
    assert [starter.name for starter in order.STARTERS] == names
    assert {path.stem for path in FILES.glob("*.py")} - {"__init__", "order"} == set(names)


def test_a_check_is_for_a_runner_or_a_shape_of_work_that_exists():
    assert set(catalog.ONLY_FOR.values()) <= WORDS


@pytest.mark.parametrize("path", SPECIFICATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_users_read_offers_the_runners_and_the_shapes_of_the_table(path):
    """Ansible reads these before our code runs, so they repeat the names."""
    text = path.read_text()
    found = [tuple(words.split(", ")) for words in re.findall(r"choices: \[([a-z, ]+)\]", text)]
    offered = [words for words in found if set(words) & WORDS]

    assert offered
    assert set(offered) <= {runners.names(), runners.shapes()}
