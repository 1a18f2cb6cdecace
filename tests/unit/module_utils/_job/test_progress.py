# SPDX-License-Identifier: Apache-2.0
"""What is known of the nodes of a run while it continues."""

from ansible_collections.madctl.multinode.plugins.module_utils._job.progress import Progress

PLANNED = {"event": "planned", "plan": {"nodes": [{"host": "a"}, {"host": "b"}]}}
EXIT = {"event": "exit", "outcome": "exited", "exit_code": 1, "signal": None, "stopped": True, "left_behind": ["x"]}


def states(progress):
    return {host: node["state"] for host, node in progress.shown()["nodes"].items()}


def after(*events):
    progress = Progress(clock=lambda: 5.0)
    for event in events:
        progress.take(event)
    return progress


def test_a_node_goes_from_armed_over_running_to_exited():
    progress = after({"event": "planned", "plan": None}, PLANNED)
    assert states(progress) == {"a": "armed", "b": "armed"} and progress.shown()["began"] is None
    for event in ({"event": "started", "host": "a"}, *[{"event": "joined", "host": "a"}] * 2, {"event": "stopping"}):
        progress.take(event)
    assert states(progress) == {"a": "stopping", "b": "armed"} and progress.shown()["began"] == 5.0
    progress.take({**EXIT, "host": "a"})
    progress.take({"event": "lost", "host": "b"})

    node = {"outcome": "exited", "exit_code": 1, "signal": None, "stopped": True}
    assert progress.shown()["nodes"]["a"] == {"state": "exited", "exit": node, "joined": 2}
    assert states(progress)["b"] == "lost"


def test_after_a_restart_there_are_the_nodes_of_its_plan():
    progress = after(PLANNED, {"event": "started", "host": "a"}, {**EXIT, "host": "b"})
    progress.take({"event": "restart", "plan": {"nodes": [{"host": "a"}, {"host": "c"}]}})

    assert states(progress) == {"a": "armed", "c": "armed"}
    progress.take({"event": "started", "host": "b"})
    assert "b" not in states(progress)
