# SPDX-License-Identifier: Apache-2.0
"""The clock of a command's stages, and what is counted of its agents beside it."""

import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import events
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import timing
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local


@pytest.mark.parametrize(("value", "wanted"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_it_measures_only_where_its_user_asks(value, wanted):
    assert timing.is_wanted({} if value is None else {timing.VARIABLE: value}) is wanted


def test_each_stage_has_its_own_processor_time():
    clock = timing.Clock("first", is_on=True)
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    clock.begin("second")
    first, second = clock.stages()

    assert (first["name"], second["name"]) == ("first", "second")
    assert first["own"] >= 0.04 > second["own"]
    assert first["seconds"] > 0.01


def test_a_clock_that_nobody_asked_for_measures_nothing():
    clock = timing.Clock("first")
    clock.begin("second")

    assert clock.stages() == []


def told(is_on):
    """Conduct a probe of this machine, and return the events, and the final counts."""
    found = []
    agents = Agents(Loop(), {"here": Local("here", sys.executable)}, timing.Clock("reach, probe", is_on))
    with agents:
        conductor = Conductor(agents, lambda event, _: found.append(event))
        agents.ask({"here": {"address": "127.0.0.1", "ports": []}}, "_runs.run_state:is_alive", 20.0)
        agents.clock.begin("plan")
        conductor.tell_times()
        living = agents.counted()
    return found, living, agents.counted()


def test_agents_that_live_are_counted_as_those_that_have_ended():
    [event], living, ended = told(is_on=True)

    assert [stage["name"] for stage in event["stages"]] == ["reach, probe", "plan"]
    assert living == ended == {key: event[key] for key in living}
    assert (living["nodes"], living["sessions"], living["starts"]) == (1, 1, 1)
    assert living["sent"] > 1000
    assert living["received"] > 10
    assert all(shape(event[key]) for key, shape in events.TOLD_BY_FOLLOWER[events.TIMED].required.items())


def test_nothing_is_told_where_nobody_asked():
    assert told(is_on=False)[0] == []
