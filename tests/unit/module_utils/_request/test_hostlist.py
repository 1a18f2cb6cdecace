# SPDX-License-Identifier: Apache-2.0
"""Host lists mean the same at both doors, and what they mean to ClusterShell; nothing else comes out of them."""

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.madctl.multinode.plugins.module_utils._request import host_files, hostlist
from madctl.errors import UsageError
from madctl.nodes import hosts
from tests.hostile import LANGUAGES, mutated
from tests.unit.host_lists import LISTS, REFUSED

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


def said(read, *given):
    """Return what a parser reads, or the code of its refusal; any other exception is a defect."""
    try:
        return [(host.name, host.user, host.port, host.slots) for host in read(*given)]
    except hostlist.HostsError as error:
        return error.problem["code"]
    except UsageError as error:
        return error.problems[0].code


def ours(text):
    return said(hostlist.from_list, text)


def theirs(text):
    """Expand a list by ClusterShell, one range after the other as it sorts what it reads."""
    parts = text.split(",") if "[" not in text else [text]
    try:
        return [str(name) for part in parts for name in NodeSet(part, resolver=RESOLVER_NOGROUP)]
    except (NodeSetException, ValueError):
        return None


@pytest.mark.parametrize("text", [*LISTS, *REFUSED, *MORE])
def test_both_doors_read_the_same(text):
    assert ours(text) == said(hosts.from_list, text)


NUMBER = st.one_of(st.integers(0, 30).map(str), st.integers(0, 30).map(lambda number: f"{number:02d}"))
RANGE = st.one_of(
    NUMBER, st.tuples(NUMBER, NUMBER).map("-".join), st.tuples(NUMBER, NUMBER).map(lambda p: "-".join(p) + "/3")
)
BRACKETS = st.lists(RANGE, min_size=1, max_size=3).map(lambda ranges: f"[{','.join(ranges)}]")
PART = st.tuples(st.sampled_from(["gpu", "n-", "a.b", ""]), BRACKETS, st.sampled_from(["", "x", ".c", "-1"])).map(
    "".join
)


@given(PART)
def test_ranges_mean_what_they_mean_to_clustershell(text):
    # It sorts, it minds different lengths but for zero, and takes n1[9-10] for n[19-110], which is never meant.
    if isinstance(ours(text), list):
        assert sorted(name for name, *_ in ours(text)) == sorted(theirs(text))


@pytest.mark.parametrize("text", ["gpu[1", "gpu1]", "gpu[1[2]]", "a,gpu[1,2", "]["])
def test_brackets_must_match(text):
    with pytest.raises(hostlist.HostsError, match="brackets do not match"):
        hostlist.from_list(text)


def test_commas_inside_brackets_do_not_separate_names():
    assert hostlist.split("a, gpu[1,3-4],b", "") == ["a", "gpu[1,3-4]", "b"]


def test_digits_before_brackets_do_not_cross_a_width():
    assert ours("n1[9-10]") == "HOSTS_MALFORMED"


def test_groups_are_the_inventorys_own_in_the_collection():
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

    assert said(hosts.from_file, str(path)) == said(host_files.from_lines, text, str(path))


SEEDS = [
    *LISTS,
    *REFUSED,
    *MORE,
    *LANGUAGES.values(),
    "e:²",
    "a:²",
    "4[-1]",
    "aB[1-2-- 4-4]",
    "@group",
    "@source:group",
]
FILES = ["# cluster\n\nb slots=4  # first\na:8\nc\n", "gpu[1-2] slots=3\r\ngpu3 max_slots=9\r\n", "a\na\nb\n"]


@pytest.fixture
def nothing_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ClusterShell.NodeUtils.Popen", lambda *words, **more: pytest.fail(f"{words} was run"))
    yield
    assert not list(tmp_path.rglob("CANARY"))


@pytest.mark.fuzz
def test_no_list_is_anything_but_names_or_a_refusal(rounds, nothing_runs):
    for data in mutated([seed.encode("utf-8", "surrogatepass") for seed in SEEDS], rounds):
        text = data.decode("utf-8", "surrogateescape")
        found = ours(text)
        assert isinstance(found, str) or all(hostlist.is_name(name) for name, *_ in found), text
        # What a group is only madctl knows.
        assert said(hosts.from_list, text) == found or "@" in text, text
        assert said(hosts.from_environment, {"SLURM_JOB_NODELIST": text}) in (found, "HOST_INVALID") or not text


@pytest.mark.fuzz
def test_no_host_file_is_anything_but_names_or_a_refusal(rounds, nothing_runs, tmp_path):
    path = tmp_path / "hosts"
    for data in mutated([seed.encode("utf-8", "surrogatepass") for seed in [*SEEDS, *FILES]], rounds):
        path.write_bytes(data)
        found = said(hosts.from_file, str(path))
        assert isinstance(found, str) or all(hostlist.is_name(name) for name, *_ in found), data
        try:
            text = data.decode()
        except UnicodeDecodeError:
            assert found == "HOSTFILE_UNREADABLE"
        else:
            assert said(host_files.from_lines, text, str(path)) == found, data
