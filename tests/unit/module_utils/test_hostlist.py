# SPDX-License-Identifier: Apache-2.0
"""The collection reads host lists without ClusterShell, and reads them exactly as madctl does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils import _hostlist
from madctl import hosts
from madctl.errors import UsageError
from tests.unit.test_hosts import LISTS, REFUSED

MORE = [
    "gpu[08-12]",
    "gpu[1 - 3]",
    "gpu[ 2 ]",
    "n[1-2]-m[1-2].example.org",
    "n[1-2]a[3-4]5",
    "n[8-10]0",
    "n1[1-5/2]",
    "n01[1-2]",
    "n[00-02]",
    "n[007]",
    "n[1/1]",
    "n[1-3/9]",
    "[1-3]",
    "root@gpu[01-02]:2222,b",
    "gpu[01-2]",
    "gpu[]",
    "gpu[a-b]",
    "gpu[1,,2]",
    "n[1-3/2]4",
    "n[1-3/0]",
    "n[1/2]",
    "n[1-2][3-4]",
    "[[1-2]]",
    "n[1-4096]",
    "n[1-4097]",
    "n[1-100]m[1-100]",
    "_a",
    "a.",
    "a:0",
    "a:22:33",
    "user@",
    "a/b",
    "a b,c",
    "ünï",
    "a\x00",
]


def ours(text):
    try:
        return [(host.name, host.user, host.port, host.slots) for host in _hostlist.from_list(text)]
    except _hostlist.HostsError as error:
        return error.problem["code"]


def theirs(text):
    try:
        return [(host.name, host.user, host.port, host.slots) for host in hosts.from_list(text)]
    except UsageError as error:
        return error.problems[0].code


@pytest.mark.parametrize("text", [*LISTS, *REFUSED, *MORE])
def test_lists_mean_what_they_mean_to_madctl(text):
    assert ours(text) == theirs(text)


NUMBER = st.one_of(st.integers(0, 30).map(str), st.integers(0, 30).map(lambda number: f"{number:02d}"))
RANGE = st.one_of(
    NUMBER, st.tuples(NUMBER, NUMBER).map("-".join), st.tuples(NUMBER, NUMBER).map(lambda p: "-".join(p) + "/3")
)
BRACKETS = st.lists(RANGE, min_size=1, max_size=3).map(lambda ranges: f"[{','.join(ranges)}]")
PART = st.tuples(st.sampled_from(["gpu", "n-", "a.b", ""]), BRACKETS, st.sampled_from(["", "x", ".c", "-1"])).map(
    "".join
)


@given(st.lists(PART, min_size=1, max_size=3).map(",".join))
def test_any_list_means_what_it_means_to_madctl(text):
    assert ours(text) == theirs(text)


@given(st.text(alphabet="a1[],-/@:. _", max_size=12))
def test_any_text_that_names_hosts_names_those_that_madctl_names(text):
    # What is refused here may have a meaning for ClusterShell: groups, numbers below zero or across a width.
    assert ours(text) == theirs(text) or isinstance(ours(text), str)


def test_digits_before_brackets_do_not_cross_a_width():
    # ClusterShell takes this for n[19-110], which nobody means.
    assert ours("n1[9-10]") == "HOSTS_MALFORMED"
    assert ours("@group") == "HOSTS_MALFORMED"


@pytest.mark.parametrize(
    "text",
    [
        "# cluster\n\nb slots=4  # first\na:8\nc\n",
        "a slots=0",
        "a slots=x",
        "a what",
        "",
        "a\na",
        "gpu[1-2] slots=3",
        "a max_slots=9",
    ],
)
def test_host_files_mean_what_they_mean_to_madctl(tmp_path, text):
    path = tmp_path / "hosts"
    path.write_text(text)
    try:
        expected = [(host.name, host.user, host.port, host.slots) for host in hosts.from_file(str(path))]
    except UsageError as error:
        expected = error.problems[0].code
    try:
        found = [(host.name, host.user, host.port, host.slots) for host in _hostlist.from_lines(text, str(path))]
    except _hostlist.HostsError as error:
        found = error.problem["code"]

    assert found == expected
