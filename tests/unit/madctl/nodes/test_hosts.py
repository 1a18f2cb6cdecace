# SPDX-License-Identifier: Apache-2.0
"""Host lists: order given is rank order, whatever ClusterShell would sort."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host
from madctl.errors import UsageError
from madctl.nodes.hosts import from_environment, from_file, from_list

LISTS = {
    "a,b,c": ["a", "b", "c"],
    "c,a,b": ["c", "a", "b"],
    "gpu[01-03]": ["gpu01", "gpu02", "gpu03"],
    "gpu[1-8/2]": ["gpu1", "gpu3", "gpu5", "gpu7"],
    "gpu[3,1-2]": ["gpu3", "gpu1", "gpu2"],
    "gpu[9-11]": ["gpu9", "gpu10", "gpu11"],
    "a[2,1]b[01-02]": ["a2b01", "a2b02", "a1b01", "a1b02"],
    "z1,gpu[2,1],a": ["z1", "gpu2", "gpu1", "a"],
    "fd00::1": ["fd00::1"],
    "[fd00::2],x": ["fd00::2", "x"],
}


@pytest.mark.parametrize("text", LISTS)
def test_lists(text):
    assert [entry.name for entry in from_list(text)] == LISTS[text]


def test_user_and_port():
    assert from_list("root@a:2222,[fd00::1]:22") == [Host("a", "root", 2222), Host("fd00::1", None, 22)]


REFUSED = {
    "": "HOSTS_EMPTY",
    " , ": "HOSTS_EMPTY",
    "a,,b": "HOSTS_MALFORMED",
    "gpu[1-": "HOSTS_MALFORMED",
    "gpu1-2]": "HOSTS_MALFORMED",
    "gpu[2-1]": "HOSTS_MALFORMED",
    "gpu[1-99999999]": "HOSTS_MALFORMED",
    "a,gpu1,a": "HOST_DUPLICATE",
    "gpu[1-3],gpu2": "HOST_DUPLICATE",
    "-oProxyCommand=x": "HOST_INVALID",
    "a b": "HOST_INVALID",
    "a;b": "HOST_INVALID",
    "a$(b)": "HOST_INVALID",
    "a\nb": "HOST_INVALID",
    "x@-a": "HOST_INVALID",
    "a:port": "HOSTS_MALFORMED",
    "@source:group": "HOSTS_MALFORMED",
}


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
