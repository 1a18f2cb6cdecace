# SPDX-License-Identifier: Apache-2.0
"""A node may send anything: that is its own error, each call has one answer, and no other node is affected."""

import marshal
import os
import zlib

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import bundles, channel, link, streams
from tests.unit.module_utils.nodes_by_hand import Two

ALIVE = b'A{"alive": true}\n'


@pytest.fixture
def two():
    two = Two()
    yield two
    two.close()


def frame(payload, number=1):
    return wire.encode({"of": number}, payload)


ENDED = wire.encode({"of": 1, "ended": 0})


@pytest.mark.parametrize(
    "said",
    [
        b"x" * (channel.BEFORE_BYTES + 2),
        b"\n%(mark)s no version\n",
        b"\n%(mark)s \n",
        b"\n%(mark)s " + b"a" * 100 + b"\n",
        b"\n%(mark)s cafe\nthis is no frame\n",
    ],
)
def test_odd_first_words_are_that_node_s_error(two, said):
    honest, odd = two.call("honest"), two.call("odd")
    two.push(two.odd, said.replace(b"%(mark)s", two.odd.marks[-1].encode()))
    two.turn(lambda: odd)
    assert len(odd) == 1 and odd[0]["failed"] is True
    two.honest.speak()
    two.honest.answer(1, ALIVE)
    two.turn(lambda: honest)
    assert honest == [{"alive": True}]


def test_what_a_login_prints_comes_before_the_first_words(two):
    answers = two.call("odd")
    for piece in (b"Welcome!\nmadctl", b" 12\n", b"\n"):
        two.odd.say(piece)
        two.settle()
    two.odd.speak(frame(ALIVE) + ENDED)
    two.turn(lambda: answers)
    assert answers == [{"alive": True}]


def test_words_that_come_one_byte_at_a_time_are_the_same(two):
    answers = two.call("odd")
    whole = b"\n%s cafe\n" % two.odd.marks[-1].encode() + frame(ALIVE) + ENDED
    for at in range(len(whole)):
        two.odd.say(whole[at : at + 1])
        two.settle()
    assert answers == [{"alive": True}]


def test_a_node_is_sent_what_it_does_not_have_in_the_order_of_dependencies(two):
    two.speak()
    two.call("honest", "_runs.survey:survey")
    two.call("honest", "_runs.survey:survey")
    two.settle()
    two.honest.ends[-1].setblocking(False)
    first, sent = bundles.first(bundles.OURS), two.honest.ends[-1].recv(1 << 24)
    frames = list(wire.Decoder().feed(sent[len(first) :]))
    loads = [list(marshal.loads(zlib.decompress(data))) for header, data in frames if header.get("load")]  # noqa: S302

    there = [*bundles.closure("_node.agent"), *loads[0], *loads[1]]
    assert (sent.startswith(first), len(loads), len(set(there))) == (True, 2, len(there))
    assert loads[1] == [name for name in bundles.closure("_runs.survey") if name in loads[1]]
    assert set(bundles.closure("_runs.survey")) <= set(there)


BREAKS = {
    "no frame": b"this is no frame\n",
    "no object": b"[1]\n",
    "no number": b"{}\n",
    "a truth": b'{"of": true}\n',
    "a fraction": b'{"of": 1.0}\n',
    "a number without end": b'{"of": ' + b"1" * 10_000 + b"}\n",
    "a header too long": b'{"of": 1, "x": "' + b"x" * wire.MAX_HEADER_BYTES,
    "a payload too large": b'{"of": 1, "bytes": %d}\n' % (wire.MAX_PAYLOAD_BYTES + 1),
    "a payload below nothing": b'{"of": 1, "bytes": -1}\n',
    "too deep to read": b'{"of": ' + b"[" * 500_000,
    **{f"{depth} deep": b'{"of": ' + b"[" * depth + b"]" * depth + b"}\n" for depth in (100, 900, 985, 990, 2900)},
    "news that are none": frame(b'N{"listening": "no"}\n'),
    "news that cannot be read": frame(b"N{\n"),
    "deep news": frame(b'N{"listening":' + b"[" * 900 + b"]" * 900 + b"}\n"),
}


@pytest.mark.parametrize("said", BREAKS.values(), ids=BREAKS.keys())
def test_what_no_agent_sends_ends_that_node_s_channel_alone(two, said):
    two.speak()
    honest, odd = two.call("honest", told=[].append), two.call("odd", told=[].append)
    more = two.call("odd")
    said = said.replace(b'"of": 1}', b'"of": 2}').replace(b'"of": 1,', b'"of": 2,')
    if b'"bytes"' not in said:
        said = said[: 1 << 21]
    two.push(two.odd, said + b"\n" if said.startswith(b'{"of": [') else said)
    two.turn(lambda: two.odd.connections[-1].is_closed)
    for answers in (odd, more):
        assert len(answers) == 1 and answers[0]["failed"] is True and answers[0]["rc"] is None
    two.honest.answer(2, ALIVE)
    two.turn(lambda: honest)
    assert honest == [{"alive": True}]


def test_an_answer_without_end_is_given_up(two, monkeypatch):
    monkeypatch.setattr(streams, "ANSWER_BYTES", 1 << 20)
    honest, odd = two.speak()
    two.push(two.odd, frame(b"x" * (1 << 19)) * 3)
    two.turn(lambda: odd)
    assert len(odd) == 1 and odd[0]["msg"] == "the connection ended: it printed more than 1048576 bytes"
    two.honest.answer(1, ALIVE)
    two.turn(lambda: honest)
    assert honest == [{"alive": True}]


IS_LEFT = {
    "of a stream that never was": frame(b"A{}\n", 77) + wire.encode({"of": 78, "ended": 0}),
    "of another sign": frame(b"A{}\n", -1) + frame(b"A{}\n", 10**30),
    "neither news nor answer": frame(b"hello\n\n\0\n"),
    "news that nobody wants": frame(b'N{"armed": true}\n'),
}


@pytest.mark.parametrize("said", IS_LEFT.values(), ids=IS_LEFT.keys())
def test_what_nobody_waits_for_is_left_alone(two, said):
    _, odd = two.speak()
    two.push(two.odd, said + frame(ALIVE) + ENDED)
    two.turn(lambda: odd)
    assert odd == [{"alive": True}] and not two.odd.connections[-1].is_closed


ODD_ANSWERS = {
    "of another function": b'A{"left": []}\n',
    "no object": b"A[]\n",
    "no JSON": b"Ano\n",
    "deep": b"A" + b"[" * 100_000 + b"\n",
    "deep within": b'A{"alive": ' + b"[" * 900 + b"]" * 900 + b"}\n",
    "failed for no reason": b'A{"failed": true}\n',
    "failed for an odd reason": b'A{"failed": true, "msg": [1]}\n',
    "of no kind": b'A{"alive": 1}\n',
}


@pytest.mark.parametrize("line", ODD_ANSWERS.values(), ids=ODD_ANSWERS.keys())
def test_an_odd_answer_is_a_failed_one_and_costs_no_other_call(two, line):
    two.speak()
    first, second = two.call("odd"), two.call("odd")
    two.odd.answer(2, line)
    two.turn(lambda: first)
    assert len(first) == 1 and first[0]["failed"] is True and isinstance(first[0]["msg"], str)
    two.odd.answer(3, ALIVE)
    two.turn(lambda: second)
    assert second == [{"alive": True}]


def test_each_call_is_answered_once(two):
    _, odd = two.speak()
    two.odd.say(frame(ALIVE) * 3 + ENDED * 2 + frame(b'A{"alive": false}\n') + ENDED)
    two.settle()
    two.odd.ends[-1].close()
    two.turn(lambda: two.odd.connections[-1].is_closed)
    assert odd == [{"alive": True}]


def test_an_end_without_an_answer_is_one(two):
    _, odd = two.speak()
    two.odd.say(frame(b'A{"alive": tr') + ENDED)
    two.turn(lambda: odd)
    assert odd == [{"failed": True, "rc": None, "msg": "it ended without an answer"}]


def test_nothing_is_heard_of_what_was_dropped(two):
    calls = []
    two.speak()
    answers = two.call("odd", started=calls.append)
    calls[0].drop()
    two.odd.answer(2, ALIVE)
    two.settle()
    assert answers == []


@pytest.mark.slow
@pytest.mark.slow
def test_a_call_while_the_channel_ends_is_answered(two):
    two.speak()
    carrier = two.odd.connections[-1]
    # What carries the channel takes a moment to end, and says what it complains of meanwhile.
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    carrier.words = reader
    two.odd.ends[-1].close()
    two.settle()
    assert not carrier.is_closed
    answers = two.call("odd")
    carrier.exit = 255
    two.turn(lambda: answers)
    assert len(answers) == 1 and answers[0]["failed"] is True
    os.close(reader)
    os.close(writer)


def test_a_node_that_does_not_answer_in_time_is_not_waited_for(two, monkeypatch):
    monkeypatch.setattr(link, "LATE_SECONDS", 0.0)
    honest, _ = two.speak()
    answers = two.call("odd", seconds=0.05)
    two.turn(lambda: answers)
    assert answers == [{"failed": True, "rc": None, "msg": "it did not answer in 0.05 s"}]
    two.odd.answer(2, ALIVE)
    two.settle()
    assert len(answers) == 1
    assert honest == []


def test_an_answer_that_has_come_and_is_not_read_yet_is_in_time(two, monkeypatch):
    monkeypatch.setattr(link, "LATE_SECONDS", 0.0)
    two.speak()
    answers = two.call("odd", seconds=0.05)
    two.odd.answer(2, ALIVE)
    # Whoever looks takes no more for a while.
    for _ in range(5):
        two.loop.turn(0.03, without_nodes=True)
    assert answers == []
    two.turn(lambda: answers)
    assert answers == [{"alive": True}]
