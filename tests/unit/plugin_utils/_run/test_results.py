# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result says, and whether it fails."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import problem
from ansible_collections.madctl.multinode.plugins.plugin_utils._run import results


@pytest.mark.parametrize(("arguments", "fails"), [({}, True), ({"fail_on_problems": "false"}, False)])
def test_a_result_with_problems_fails_unless_its_role_has_a_task_for_that(arguments, fails):
    found = results.judged({"nodes": {}}, [problem("NODE_SILENT", "n1", "no answer")], arguments, ["n1", "n2"])

    assert ("failed" in found, found["nodes"]) == (fails, {})
    assert "n1: no answer" in found["msg"] and found["failures"] == {"n1": "NODE_SILENT: see above"}


def test_a_result_without_problems_says_nothing_of_failure():
    assert not {"failed", "msg", "failures"} & results.judged({}, [], {}, ["n1"]).keys()


@pytest.mark.parametrize("host", [None, "elsewhere"])
def test_all_are_to_blame_for_a_problem_that_none_of_them_has_alone(host):
    found = results.judged({}, [problem("TIMED_OUT", host, "the job did not end in time")], {}, ["n1", "n2"])

    assert found["failures"] == dict.fromkeys(["n1", "n2"], "TIMED_OUT: see above")
