# SPDX-License-Identifier: Apache-2.0
"""One sample of a run, as lines and as data, and its exit code."""

import contextlib
import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sampling import Node
from madctl import cli
from madctl.commands import top
from madctl.playbook import sampled
from madctl.records import record_store
from madctl.screen.terminal import OUT
from tests.unit.madctl.remembered_runs import PLAN, RUN, asked
from tests.unit.module_utils import measured

pytestmark = pytest.mark.usefixtures("own_records")
RANKS = {rank: measured.load(percent=99.0) for rank in range(3)}
SILENT = codes.problem("NODE_SILENT", "n2", "no answer in 20 s", "walk there")


class Source:
    """Nodes that settle after a moment."""

    def __init__(self, nodes):
        self.loop, self.nodes, self._after = Loop(), dict.fromkeys(nodes, Node()), nodes
        self.loop.after(0.01, self._settle)
        self.is_settled = False

    def _settle(self):
        self.nodes, self.is_settled = self._after, True

    @property
    def is_over(self):
        return all(node.is_over for node in self.nodes.values())


@pytest.fixture
def run(monkeypatch, capsys):
    def make(nodes, *words):
        hosts = [{"host": host, "node_rank": rank, "run_dir": f"/r/{RUN}"} for rank, host in enumerate(("n1", "n2"))]
        record_store.save(record_store.create({**PLAN, "run_id": RUN, "nodes": hosts}, asked("n1", "n2"), ["x"]))
        monkeypatch.setattr(sampled, "source", lambda record: contextlib.nullcontext(Source(nodes)))
        code = cli.main(["top", *words])
        out, err = capsys.readouterr()
        return code, out, err

    return make


def node(silent=None, **more):
    ranks = {**RANKS, **({silent: measured.load(percent=99.0, output=60.0)} if silent is not None else {})}
    return Node("running", measured.sample(ranks), None, 1e9, **more)


def test_one_sample_as_lines(run):
    code, out, err = run({"n1": node(silent=2)}, "--once")

    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith(f"run {RUN}, ")
    assert [line.split()[1] for line in out.splitlines() if line.startswith("! ")] == ["2"]


def test_one_sample_as_data(run):
    code, out, _ = run({"n1": node(silent=2), "n2": Node("exited", measured.sample({5: RANKS[0]}))}, "--output", "json")
    found = json.loads(out)

    assert (code, found["status"], found["run_id"], found["data"]["is_over"]) == (0, "succeeded", RUN, False)
    assert found["data"]["nodes"]["n1"]["ranks"]["2"]["lagging"] == ["output"]
    assert found["data"]["nodes"]["n2"]["ranks"]["5"]["lagging"] == []


def test_a_node_without_an_answer_is_an_error_and_the_others_are_shown(run):
    nodes = {"n1": node(), "n2": Node(problem=SILENT)}
    code, out, err = run(nodes, "--output", "json")
    found = json.loads(out)

    assert (code, found["exit_code"], list(found["data"]["nodes"])) == (4, 4, ["n1"])
    assert found["errors"][0]["code"] == "NODE_SILENT"
    assert "n2: no answer in 20 s; walk there [NODE_SILENT]" in err


def test_an_ended_run_is_no_failure(run):
    code, out, _ = run({"n1": Node("exited", measured.sample(RANKS)), "n2": Node("exited")})

    assert code == 0
    assert "exited, last sample" in out and "exited, no samples" in out


@pytest.mark.parametrize(
    ("words", "is_terminal", "is_watched"),
    [((), True, True), (("--once",), True, False), (("--output", "json"), True, False), ((), False, False)],
)
def test_what_is_drawn_again_and_again(words, is_terminal, is_watched, run, monkeypatch):
    watched = []
    monkeypatch.setattr(OUT, "can_draw", lambda: is_terminal)
    monkeypatch.setattr(top, "_watch", lambda *given: watched.append(given) or 0)
    run({"n1": node()}, *words)

    assert bool(watched) is is_watched
