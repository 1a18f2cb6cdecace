# SPDX-License-Identifier: Apache-2.0
"""Connections that carry no stream of bytes: a node is looked at by a module task, and a launch is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
# Commands run here, as with Ansible's own connection to this machine; that is all it can do.
CONNECTION = '''\
DOCUMENTATION = """
name: by_task
short_description: Commands, one at a time
options: {}
"""
from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    transport = "by_task"
    has_pipelining = False
'''


@pytest.fixture
def play(tmp_path):
    """Play roles on a host with such a connection, and give how it ended and what each role registered."""
    (tmp_path / "by_task.py").write_text(CONNECTION)
    interpreter = f"ansible_python_interpreter={sys.executable}"
    (tmp_path / "hosts.ini").write_text(f"here ansible_connection=by_task {interpreter}\n")

    def run(role, **variables):
        kept = tmp_path / "result.json"
        keep = {
            "ansible.builtin.copy": {"content": "{{ %s_result }}" % role, "dest": str(kept)},
            "delegate_to": "localhost",
        }
        role_task = {"ansible.builtin.include_role": {"name": f"madctl.multinode.{role}"}}
        tasks = [role_task, {**keep, "vars": {"ansible_connection": "local"}}]
        book = [{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}]
        (tmp_path / "play.yml").write_text(json.dumps(book))
        environment = {**os.environ, "ANSIBLE_CONNECTION_PLUGINS": str(tmp_path)}
        argv = [str(PLAYBOOK), "-i", str(tmp_path / "hosts.ini"), str(tmp_path / "play.yml")]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=False)
        return done, json.loads(kept.read_text()) if kept.exists() else None

    return run


def test_a_node_is_looked_at(play):
    done, found = play("probe")

    assert done.returncode == 0, done.stdout + done.stderr
    assert found["node"]["interfaces"] and found["node"]["time"]["received"]


def test_a_role_that_judges_nodes_works(play):
    done, found = play("gpu")

    assert done.returncode == 0, done.stdout + done.stderr
    assert found["nodes"]["here"]["count"] == 0


@pytest.mark.parametrize("role", ["rendezvous", "launch"])
def test_what_needs_a_stream_says_so(play, role):
    done, _ = play(role, madctl_work=["true"], madctl_shape="command")

    assert done.returncode == 2
    said = "madctl: here: its connection by_task carries no stream of bytes"
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
