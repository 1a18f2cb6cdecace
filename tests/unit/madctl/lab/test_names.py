# SPDX-License-Identifier: Apache-2.0
"""Names that were misspelled: of labs and of their hosts."""

import pytest

from madctl.errors import UsageError
from madctl.lab import spec, state


def refused(call, *words):
    with pytest.raises(UsageError) as caught:
        call(*words)
    return str(caught.value)


def test_a_host_is_asked_about_or_all_are_named():
    hosts = [spec.Host(f"node{number}", "", "", "") for number in (1, 2, 3)]
    lab = spec.Lab("lab", 1, "", hosts=tuple(hosts))

    assert refused(lab.host, "nod2") == "lab lab has no host 'nod2'; did you mean node2? [LAB_HOST_UNKNOWN]"
    assert refused(lab.host, "gpu") == "lab lab has no host 'gpu'; it has node[1-3] [LAB_HOST_UNKNOWN]"


def test_a_lab_is_asked_about(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "ROOT", tmp_path)
    (tmp_path / "demo").mkdir()

    start = "start it: madctl lab up -n 2 --name"
    assert refused(state.load, "dem") == f'lab "dem" is not up; did you mean demo? or {start} dem [LAB_NOT_UP]'
    assert refused(state.load, "demo") == f'lab "demo" is not up; {start} demo [LAB_NOT_UP]'
