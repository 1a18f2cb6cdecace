# SPDX-License-Identifier: Apache-2.0
"""What a task found out of many nodes comes back whole, however long it is."""

import json

import ansible_runner

from madctl.ansible_settings import environment

SIZE = 2_000_000


def test_a_result_of_many_nodes_arrives_whole(tmp_path):
    long = {"ansible.builtin.set_fact": {"long": "{{ 'x' * %d }}" % SIZE}}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [long]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    (tmp_path / "runner").mkdir()
    found = []
    ansible_runner.run(
        private_data_dir=str(tmp_path / "runner"),
        project_dir=str(tmp_path),
        playbook="play.yml",
        envvars=environment(),
        event_handler=found.append,
        quiet=True,
    )
    [result] = [event["event_data"]["res"] for event in found if event["event"] == "runner_on_ok"]

    assert len(result["ansible_facts"]["long"]) == SIZE
