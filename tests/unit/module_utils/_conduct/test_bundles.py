# SPDX-License-Identifier: Apache-2.0
"""What nodes get of our modules: all that is needed, once, as code for a Python of our version and as text for others."""

import ast
import functools
import json
import marshal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources
from tests.unit.other_pythons import PYTHONS

PACKAGE = own_sources.PACKAGE
BRAIN = Path(__file__).parents[4] / "plugins/module_utils"
MODULES = [".".join(path.relative_to(BRAIN).with_suffix("").parts) for path in sorted(BRAIN.glob("*/**/*.py"))]
OTHER = "00000000"


def imported(tree):
    """Yield the modules of the brain that a tree imports, wherever it does, but for types."""
    waiting = [tree]
    for item in waiting:
        if isinstance(item, ast.If) and ast.unparse(item.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(item)
        if isinstance(item, ast.ImportFrom) and (item.module or "").startswith(PACKAGE + "."):
            room = item.module.removeprefix(PACKAGE + ".")
            is_folder = (BRAIN / room.replace(".", "/")).is_dir()
            yield from [f"{room}.{alias.name}" for alias in item.names] if is_folder else [room]


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_needs_is_read_from_its_text(name):
    text = own_sources.text(name)

    assert sorted(bundles._imports(text)) == sorted(imported(ast.parse(text)))
    assert set(bundles.closure(name)) >= {name, *imported(ast.parse(text))}


def test_dependencies_come_first():
    order = bundles.closure("_arm.arming", "_supervise.supervisor")

    assert len(order) == len(set(order)) > 20
    for at, name in enumerate(order):
        assert set(imported(ast.parse(own_sources.text(name)))) <= set(order[:at])


def unpacked(data):
    return marshal.loads(zlib.decompress(data))  # noqa: S302  it is ours


def test_a_node_of_our_version_gets_code_and_another_one_text():
    names = ("_common.wire", "_common.raw_words")
    ours = unpacked(bundles.packed(names, frozenset(names[:1]), bundles.OURS))
    others = unpacked(bundles.packed(names, frozenset(), OTHER))

    assert [(bool(text), bool(code)) for text, code in ours.values()] == [(True, True), (False, True)]
    assert others == {name: (own_sources.text(name), None) for name in names}
    assert (bundles.first(bundles.OURS)[:1], bundles.first(OTHER)[:1]) == (b"c", b"t")


class Agent:
    """An agent that is told that its Python calls its version by some name, over a plain channel."""

    def __init__(self, python, magic=None):
        argv = [python, "-I", "-S", "-c", bundles.boot("mark")]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"\n"
        mark, self.own = self.process.stdout.readline().decode().split()
        self.magic = magic or self.own
        assert mark == "mark"
        self._send(bundles.first(self.magic))

    def _send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def call(self, name, request, texts=()):
        """Call a function, and give its answer."""
        module, _, function = name.partition(":")
        names = tuple(dict.fromkeys((*bundles.closure(module), *texts)))
        self._send(wire.encode({"load": True}, bundles.packed(names, frozenset(texts), self.magic)))
        self._send(wire.encode({"call": 1, "module": module, "function": function, "seconds": 30}))
        text = json.dumps(request).encode()
        self._send(wire.encode({"give": 1}, b"%08x%s" % (len(text), text)))
        decoder, answer = wire.Decoder(), b""
        for piece in iter(functools.partial(self.process.stdout.read1, 1 << 16), b""):
            for header, payload in decoder.feed(piece):
                answer += payload
                if "ended" in header:
                    return json.loads(answer.removeprefix(b"A"))
        raise AssertionError(answer)

    def end(self):
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def agent():
    found = []

    def make(*words):
        found.append(Agent(*words))
        return found[-1]

    yield make
    for one in found:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize("magic", [None, OTHER], ids=["by code", "by text"])
def test_an_agent_starts_and_answers(agent, magic, tmp_path):
    started = agent(sys.executable, magic)

    assert started.own == bundles.OURS
    assert started.call("_runs.survey:survey", {"run_dir": str(tmp_path)}) == {"runs": []}
    assert started.end() == 0


@pytest.mark.parametrize("version", PYTHONS)
def test_an_agent_starts_on_every_version_of_python(agent, version, tmp_path):
    started = agent(PYTHONS[version])

    assert started.call("_runs.survey:survey", {"run_dir": str(tmp_path)}) == {"runs": []}
    assert started.end() == 0


def test_programs_reach_a_node_as_the_texts_that_they_are(agent, tmp_path):
    texts = bundles.programs()
    started = agent(sys.executable)
    for name in texts[:3]:
        assert started.call("_node.own_sources:text", name, texts) == own_sources.text(name)
    assert set(bundles.delivered().values()) == set(map(own_sources.text, texts))
