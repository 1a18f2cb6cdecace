# SPDX-License-Identifier: Apache-2.0
"""Hosts that are left out of a list: the order of the others stays, and a host that is not there is no mistake."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import exclusion, hostlist

LISTED = ["gpu04", "gpu01", "gpu02", "Login.example.org", "192.0.2.10", "fd00::1"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("gpu01", [0, 2, 3, 4, 5]),
        ("gpu[01-02]", [0, 3, 4, 5]),
        ("gpu02,gpu04,gpu02", [1, 3, 4, 5]),
        ("gpu77", [0, 1, 2, 3, 4, 5]),
        ("gpu77,gpu04", [1, 2, 3, 4, 5]),
        ("192.0.2.1,192.0.3.10", [0, 1, 2, 3, 4, 5]),
        ("[fd00::1]", [0, 1, 2, 3, 4]),
        ("@down", [0, 2, 3, 4, 5]),
    ],
)
def test_the_others_stay_in_their_order(text, left):
    found = exclusion.remaining(LISTED, [text], {"@down": ["gpu01", "gpu99"]}.get)

    assert found == ([LISTED[at] for at in left], len(LISTED) - len(left))


@pytest.mark.parametrize(
    ("text", "code", "remedy"),
    [
        ("gpu1", "EXCLUDE_UNKNOWN", "did you mean gpu01?"),
        ("gpu[1-2]", "EXCLUDE_UNKNOWN", "did you mean gpu01?"),
        ("GPU04", "EXCLUDE_UNKNOWN", "did you mean gpu04?"),
        ("gpu02.example.org", "EXCLUDE_UNKNOWN", "did you mean gpu02?"),
        ("login", "EXCLUDE_UNKNOWN", "did you mean Login.example.org?"),
        ("@short", "EXCLUDE_UNKNOWN", "did you mean gpu01?"),
        (",".join(LISTED), "HOSTS_EMPTY", "exclude fewer"),
        ("root@gpu01", "HOST_INVALID", None),
        ("gpu01:22", "HOST_INVALID", None),
        ("gpu[", "HOSTS_MALFORMED", "write it like gpu[01-16]"),
        ("gpu[01-04]!gpu02", "HOST_INVALID", "use letters, digits, '.', '-' and '_', not '-' first"),
    ],
)
def test_what_is_refused(text, code, remedy):
    with pytest.raises(hostlist.HostsError) as caught:
        exclusion.remaining(LISTED, [text], {"@short": ["gpu1"]}.get)

    assert (caught.value.problem["code"], caught.value.problem["remedy"]) == (code, remedy)


def test_members_of_a_group_need_not_be_in_the_list():
    groups = {"@gpus": ["gpu1", "gpu2", "gpu3"], "@down": ["gpu2", "gpu9"]}.get

    assert [host.name for host in hostlist.from_list("@gpus!@down", groups)] == ["gpu1", "gpu3"]
    assert [host.name for host in hostlist.from_list("@gpus!gpu1,x", groups)] == ["gpu2", "gpu3", "x"]
