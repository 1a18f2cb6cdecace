# SPDX-License-Identifier: Apache-2.0
"""Our modules that came over a channel are imported and read where their files do not exist."""

import json
import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources

# As the boot of an agent does: no file, and nothing of ours on any path.
PROGRAM = """
import json, marshal, sys
own_sources = type(sys)("own_sources")
sys.modules["own_sources"] = own_sources
exec(sys.argv[1], own_sources.__dict__)
before = own_sources.is_installed()
loader = own_sources.install()
for data in json.loads(sys.stdin.readline()):
    loader.add(bytes.fromhex(data))
assert own_sources.install() is loader and sys.meta_path.count(loader) == 1
def tried(function):
    try:
        return function()
    except Exception as error:
        return type(error).__name__
def imported(name):
    import importlib
    module = importlib.import_module(own_sources.PACKAGE + "." + name)
    return [module.__name__, hasattr(module, "__file__")]
print(json.dumps([before, own_sources.is_installed(), [tried(lambda: eval(line)) for line in sys.stdin]]))
"""


def run(packed, *lines):
    """Return the results of Python expressions in a process that has only the packed modules."""
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, own_sources.text("_node.own_sources")]
    given = "\n".join([json.dumps([data.hex() for data in packed]), *lines])
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=True)
    before, after, answers = json.loads(done.stdout)
    assert (before, after) == (False, True)
    return answers


@pytest.mark.parametrize("magic", [bundles.OURS, "00000000"], ids=["code", "text"])
def test_a_packed_module_is_imported_with_everything_it_needs(magic):
    packed = bundles.packed(bundles.closure("_runs.survey"), frozenset(), magic)
    name = f"{own_sources.PACKAGE}._runs.survey"

    assert run([packed], "imported('_runs.survey')", "imported('_runs')") == [
        [name, False],
        [f"{own_sources.PACKAGE}._runs", False],
    ]


def test_more_may_come_at_any_time():
    first = bundles.packed(("_common.wire",), frozenset(), bundles.OURS)
    second = bundles.packed(("_common.raw_words",), frozenset(), "00000000")
    found = run([first, second], "imported('_common.wire')[1]", "imported('_common.raw_words')[1]")

    assert found == [False, False]


def test_a_module_that_did_not_come_does_not_exist():
    packed = bundles.packed(("_common.wire",), frozenset(), bundles.OURS)
    found = run([packed], "imported('_common.codes')", "imported('_runs.survey')", "own_sources.text('_common.codes')")

    assert found == ["ModuleNotFoundError", "ModuleNotFoundError", "FileNotFoundError"]


def test_a_text_can_be_read_where_it_came_as_text():
    names = ("_common.wire", "_common.raw_words")
    packed = bundles.packed(names, frozenset(names[:1]), bundles.OURS)
    found = run([packed], "own_sources.text('_common.wire')", "own_sources.text('_common.raw_words')")

    assert found == [own_sources.text("_common.wire"), "FileNotFoundError"]


def test_beside_its_own_file_texts_are_read_from_files():
    assert not own_sources.is_installed()
    assert own_sources.text("_common.wire").startswith("# SPDX")
    with pytest.raises(OSError, match="nothing"):
        own_sources.text("_common.nothing")
