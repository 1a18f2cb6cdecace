# SPDX-License-Identifier: GPL-3.0-or-later
"""What an action of Ansible's has that ours asks it for."""

from types import SimpleNamespace

from ansible.playbook.play_context import PlayContext


def task_of(connection, environment=""):
    task = SimpleNamespace(connection=connection, remote_user=None, port=None)
    play_context = PlayContext()
    return SimpleNamespace(_task=task, _play_context=play_context, _compute_environment_string=lambda: environment)
