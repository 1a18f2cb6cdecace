# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the code that was sent."""

from types import SimpleNamespace

from ansible_collections.madctl.multinode.plugins.module_utils._sync import code as read_code
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import code
from tests.unit.module_utils.code_by_hand import write


def test_nothing_is_told_of_code_before_a_node_has_answered(tmp_path):
    write(tmp_path, "train.py")
    found = read_code.read({"sync": str(tmp_path), "work": ["train.py"], "shape": "script"})
    told = []
    conductor = SimpleNamespace(pass_on=lambda event, payload: told.append(event["nodes"]))

    code.tell(conductor, found, SimpleNamespace(has_answers=False, receivers=set(), sent=0))
    assert told == []
    code.tell(conductor, found, SimpleNamespace(has_answers=True, receivers={"n1"}, sent=0))
    assert told == [1]
