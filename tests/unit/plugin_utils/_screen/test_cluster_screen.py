# SPDX-License-Identifier: Apache-2.0
"""What is shown of a run in a cluster."""

import pytest

from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import cluster_screen, playbook_screen


def test_a_secret_is_hidden_also_before_there_is_a_plan(monkeypatch):
    shown = []
    monkeypatch.setattr(playbook_screen, "say", lambda lines, is_job=False: shown.extend(map(str, lines)))
    screen = cluster_screen.ClusterScreen({}, secrets=("hunter2-hunter2",))
    line = b"token hunter2-hunter2\n"
    where = {"host": "pod-1", "log": "rank-1.log", "offset": 0, "bytes": len(line), "time": 1.0}
    screen.on_event({"event": "log", **where}, line)
    screen.flush()

    assert [text.partition("| ")[2] for text in shown] == ["token ***"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "-e madctl_on=k8s -e madctl_run_id=r1"),
        (
            {"k8s_namespace": "train", "k8s_context": "a b", "k8s_image": "i"},
            "-e madctl_on=k8s -e 'madctl_k8s_context=a b' -e madctl_k8s_namespace=train -e madctl_run_id=r1",
        ),
    ],
)
def test_a_command_names_the_cluster_as_it_was_named(asked, words):
    screen = cluster_screen.ClusterScreen(asked)

    assert screen.logs_of("r1") == f"ansible-playbook madctl.multinode.logs {words}"
