# SPDX-License-Identifier: Apache-2.0
"""Host lists: order given is rank order, whatever ClusterShell would sort."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl.errors import UsageError
from madctl.nodes.hosts import from_environment, from_file, from_list
from tests.unit.host_lists import LISTS, REFUSED


@pytest.mark.parametrize("text", LISTS)
def test_lists(text):
    assert [entry.name for entry in from_list(text)] == LISTS[text]


def test_user_and_port():
    assert from_list("root@a:2222,[fd00::1]:22") == [Host("a", "root", 2222), Host("fd00::1", None, 22)]


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text):
    with pytest.raises(UsageError) as caught:
        from_list(text)

    assert caught.value.problems[0].code == REFUSED[text]


def test_hostfile(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("# cluster\n\nb slots=4  # first\na:8\nc\n")

    assert from_file(str(path)) == [Host("b", slots=4), Host("a", slots=8), Host("c")]


@pytest.mark.parametrize("line", ["a slots=0", "a slots=x", "a what"])
def test_hostfile_refusals(tmp_path, line):
    path = tmp_path / "hosts"
    path.write_text(line)
    with pytest.raises(UsageError) as caught:
        from_file(str(path))

    assert caught.value.problems[0].code == "HOSTFILE_MALFORMED"
    assert f"{path}:1" in caught.value.problems[0].message


def test_slurm():
    assert [entry.name for entry in from_environment({"SLURM_JOB_NODELIST": "n[1-2]"})] == ["n1", "n2"]
    assert from_environment({}) == []
