# SPDX-License-Identifier: Apache-2.0
"""Agents are started on demand, few at once, retried if a machine was busy; and all end with the command."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._conduct import agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Task
from ansible_collections.madctl.multinode.plugins.module_utils._ways.local import Local
from tests.unit.module_utils.nodes_by_hand import IS_ALIVE, ByHand, Two

ALIVE = b'A{"alive": true}\n'
TAIL = "_runs.log_tail:tail"


@pytest.fixture
def make():
    made = []

    def two(*more):
        made.append(Two(*more))
        return made[-1]

    yield two
    for one in made:
        one.close()


@pytest.fixture
def two(make):
    return make()


def become(two, host):
    """Have an agent be one function, and give its answers and the calls that were started."""
    answers, calls = [], []
    two.agents.become(host, Task(TAIL, {}, answers.append, told=[].append, raw=[].append, started=calls.append))
    return answers, calls


def code(answers):
    ((answer),) = answers
    return answer["problem"]["code"]


# -- handshakes --------------------------------------------------------------------------------------


def test_one_agent_serves_all_calls_of_a_node(two):
    first, second = two.call("odd"), two.call("odd")
    two.odd.speak()
    two.odd.answer(1, ALIVE)
    two.odd.answer(2, ALIVE)
    two.turn(lambda: first and second)
    third = two.call("odd")
    two.odd.answer(3, ALIVE)
    two.turn(lambda: third)
    assert len(two.odd.ends) == 1 and two.agents.sessions["odd"] == 1


def test_a_handshake_that_failed_as_on_a_busy_machine_is_tried_once_more(two):
    answers = two.call("odd")
    two.odd.fail("busy")
    two.turn(lambda: len(two.odd.ends) == 2)
    assert two.odd.resets == 1 and two.odd.seconds == [agents.FIRST_SECONDS, agents.SECOND_SECONDS]
    two.odd.speak()
    two.odd.answer(1, ALIVE)
    two.turn(lambda: answers)
    assert answers == [{"alive": True}]


def test_a_handshake_is_tried_no_third_time(two):
    answers = two.call("odd")
    for attempt in (1, 2):
        two.turn(lambda attempt=attempt: len(two.odd.ends) == attempt)
        two.odd.fail("busy")
    two.turn(lambda: answers)
    two.settle()
    assert code(answers) == "HOST_UNREACHABLE" and len(two.odd.ends) == 2


def test_a_handshake_that_failed_for_good_is_not_tried_again(two):
    first, second = two.call("odd"), two.call("odd")
    two.odd.fail("nobody there")
    two.turn(lambda: first and second)
    two.settle()
    assert code(first) == code(second) == "HOST_UNREACHABLE" and first[0]["msg"] == "nobody there"
    assert len(two.odd.ends) == 1
    # A later call tries again.
    third = two.call("odd")
    two.odd.speak()
    two.odd.answer(1, ALIVE)
    two.turn(lambda: third)
    assert third == [{"alive": True}]


def test_what_cannot_even_be_tried_is_that_node_s_error(make):
    odd = ByHand("gone", refuses=["no such program", "no such program"])
    two = make(odd)
    answers, honest = two.call("gone"), two.call("honest")
    two.turn(lambda: answers)
    assert code(answers) == "HOST_UNREACHABLE" and answers[0]["msg"] == "no such program"
    two.honest.speak()
    two.honest.answer(1, ALIVE)
    two.turn(lambda: honest)
    assert honest == [{"alive": True}]


@pytest.mark.parametrize("host_number", [2, 5])
def test_handshakes_at_once_are_bounded(make, monkeypatch, host_number):
    monkeypatch.setattr(agents, "at_once", lambda: 2)
    nodes = [ByHand(f"n{number}") for number in range(host_number)]
    two = make(*nodes)
    answers = [two.call(node.host) for node in nodes]
    for at, node in enumerate(nodes):
        assert sum(len(one.ends) for one in nodes) == min(at + 2, host_number)
        if at % 2:
            node.speak()
            node.answer(1, ALIVE)
        else:
            node.fail("nobody there")
        two.turn(lambda at=at: answers[at])
    assert all(len(found) == 1 for found in answers)


def test_second_attempts_have_few_beside_them(make, monkeypatch):
    monkeypatch.setattr(agents, "at_once", lambda: 100)
    monkeypatch.setattr(agents, "_AGAIN_AT_ONCE", 1)
    nodes = [ByHand(f"n{number}") for number in range(3)]
    two = make(*nodes)
    answers = [two.call(node.host) for node in nodes]
    for node in nodes:
        node.fail("busy")
    for number in range(3):
        two.turn(lambda number=number: sum(len(node.ends) for node in nodes) == 4 + number)
        two.settle()
        assert sum(len(node.ends) for node in nodes) == 4 + number
        (node,) = [node for node in nodes if len(node.ends) == 2 and not node.connections[1].is_closed]
        node.speak()
        node.answer(1, ALIVE)
        two.turn(lambda node=node: answers[nodes.index(node)])
        node.ends[1].close()
        two.turn(lambda node=node: node.connections[1].is_closed)
    assert answers == [[{"alive": True}]] * 3


def test_a_node_that_says_nothing_is_given_up(two, monkeypatch):
    monkeypatch.setattr(agents, "_SPEAK_SECONDS", 0.05)
    answers = two.call("odd")
    two.turn(lambda: answers)
    assert code(answers) == "PROBE_FAILED" and "its Python printed nothing" in answers[0]["msg"]
    assert two.odd.connections[0].is_closed


@pytest.mark.parametrize("exit_code", [126, 127])
def test_a_python_that_is_missing_is_said_to_be(two, exit_code):
    answers = two.call("odd")
    two.odd.fail("sh: python3: not found", exit_code)
    two.turn(lambda: answers)
    assert code(answers) == "PYTHON_MISSING" and len(two.odd.ends) == 1


def test_a_python_that_is_missing_here_is_said_to_be(make):
    two = make(Local("here", "/no/such/python3"))
    answers = two.call("here")
    two.turn(lambda: answers)
    assert code(answers) == "PYTHON_MISSING"


def test_a_program_that_ends_before_its_first_word_is_no_fault_of_the_way(two):
    answers = two.call("odd")
    two.odd.fail("Traceback: busy", 1)
    two.turn(lambda: answers)
    assert code(answers) == "PROBE_FAILED" and "Traceback" in answers[0]["msg"]


# -- agents that are one function's ------------------------------------------------------------------


def test_a_call_after_an_agent_became_a_function_gets_another_agent(two):
    _, calls = become(two, "odd")
    two.odd.speak()
    two.turn(lambda: calls)
    answers = two.call("odd")
    assert len(two.odd.ends) == 2
    two.odd.speak()
    two.odd.answer(1, ALIVE)
    two.turn(lambda: answers)
    assert answers == [{"alive": True}] and not two.odd.connections[0].is_closed


def test_a_call_that_waited_beside_one_that_took_the_agent_gets_another(two):
    _, calls = become(two, "odd")
    answers = two.call("odd")
    two.odd.speak()
    two.turn(lambda: len(two.odd.ends) == 2)
    assert len(calls) == 1
    two.odd.speak()
    two.odd.answer(1, ALIVE)
    two.turn(lambda: answers)
    assert answers == [{"alive": True}]


def test_an_agent_that_is_busy_becomes_nothing_else(two):
    answers = two.call("odd")
    two.odd.speak()
    two.turn(lambda: two.agents._nodes["odd"].link.is_ready)
    told, calls = become(two, "odd")
    assert len(two.odd.ends) == 2 and not calls
    # What it is busy with continues.
    two.odd.ends.insert(1, two.odd.ends.pop(0))
    two.odd.answer(1, ALIVE)
    two.turn(lambda: answers)
    assert answers == [{"alive": True}]
    two.odd.ends.insert(1, two.odd.ends.pop(0))
    two.odd.speak()
    two.turn(lambda: calls)
    assert told == []


def test_all_that_was_started_ends_with_the_command(two):
    become(two, "odd")
    two.odd.speak()
    two.settle()
    two.call("odd")
    two.call("honest")
    two.agents.close()
    connections = two.odd.connections + two.honest.connections
    assert len(connections) == 3 and all(connection.is_closed for connection in connections)


# -- who is given up ---------------------------------------------------------------------------------


def test_nodes_that_do_not_answer_in_time_are_given_up(two):
    def answer(host):
        two.ways[host].speak()
        two.ways[host].answer(1, ALIVE)
        return {}

    two.call("honest")
    answers = two.agents.ask({"odd": {}}, IS_ALIVE, 0.05)
    assert code([answers["odd"]]) == "HOST_UNREACHABLE" and two.odd.connections[0].is_closed
    assert not two.honest.connections[0].is_closed
    two.loop.after(0.0, lambda: answer("odd"))
    again = two.agents.ask({"odd": {}}, IS_ALIVE, 20.0)
    assert again == {"odd": {"alive": True}} and len(two.odd.ends) == 2


def test_a_node_that_was_given_up_in_the_queue_is_started_once(make, monkeypatch):
    monkeypatch.setattr(agents, "at_once", lambda: 1)
    two = make()
    two.call("honest")
    before = two.call("odd")
    two.agents.give_up("odd", "it took too long")
    assert code(before) == "HOST_UNREACHABLE"
    answers = two.call("odd")
    two.honest.speak()
    two.turn(lambda: two.odd.ends)
    two.settle()
    two.odd.speak()
    two.odd.answer(1, ALIVE)
    two.turn(lambda: answers)
    two.settle()
    assert answers == [{"alive": True}] and len(two.odd.ends) == 1 and len(before) == 1


def test_a_node_that_was_given_up_for_good_is_not_started_when_its_turn_comes(make, monkeypatch):
    monkeypatch.setattr(agents, "at_once", lambda: 1)
    two = make()
    two.call("honest")
    two.call("odd")
    two.agents.give_up("odd", "it took too long")
    two.honest.speak()
    two.settle()
    assert two.odd.ends == []
