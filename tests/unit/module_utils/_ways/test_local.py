# SPDX-License-Identifier: Apache-2.0
"""The way to this machine."""

import sys

from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from tests.unit.module_utils import connections

WAY = Local("localhost", sys.executable)


def test_this_machine_needs_nobody_in_between():
    assert connections.talk(WAY.start("cat; echo $0"), b"in ") == (b"in /bin/sh\n", 0)


def test_whatever_a_program_ends_with_is_its_own():
    assert [WAY.is_of_node(code) for code in (0, 127, 255, None)] == [True, True, True, False]
    assert not WAY.may_pass("Connection timed out")


def test_what_was_said_last_is_the_cause():
    found = WAY.explain("one\r\ntwo\n")

    assert (found["code"], found["host"], found["message"]) == ("HOST_UNREACHABLE", "localhost", "two")
    assert found["remedy"] == "check that it is up: it is this machine"
