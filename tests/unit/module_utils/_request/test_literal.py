# SPDX-License-Identifier: Apache-2.0
"""Data as people write it: what is read, and all else refused in one way."""

import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import literal, madengine_options
from madctl import cli
from tests import hostile

REFUSED = {
    "{{}}": "not a mapping",
    "{[]: 1}": "not a mapping",
    "{'a': {1, 2}}": "a set",
    "{1, 2}": "not a mapping",
    "{'a': b'x'}": "a bytes",
    "{'a': 1j}": "a complex",
    "{'a': ...}": "a ellipsis",
    "{1: 2}": "its key 1",
    "{(1, 2): 3}": r"its key \(1, 2\)",
    "{'a': 1e999}": "not finite",
    '{"a": NaN}': "not finite",
    '{"a": -Infinity}': "not finite",
    '{"a": "\\ud800"}': "half a character",
    '{"\\udc80": 1}': "half a character",
    "{'a': '\\0'}": "NUL",
    "{'a': " + "9" * 5000 + "}": "not a mapping",
    "[" * 100000: "not a mapping",
    "{'a': " + "[" * 90 + "]" * 90 + "}": None,
    '{"a": ' + "[" * 5000 + "]" * 5000 + "}": "too deeply|not a mapping",
    "{'a': " + "-" * 100000 + "1}": "not a mapping",
    "{'a': '" + "x" * (1 << 20) + "'}": "longer than",
    "{'a': __import__('os')}": "not a mapping",
    "{'a': 1 + 1}": "not a mapping",
    "": "not a mapping",
    "\0": "not a mapping",
    "\ud800": "not a mapping",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:30])
def test_what_is_no_data_is_refused_in_one_way(text):
    if REFUSED[text] is None:
        assert json.dumps(literal.mapping(text))
        return
    with pytest.raises(ValueError, match=REFUSED[text]):
        literal.mapping(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    {"{'a': (1, None)}": {"a": (1, None)}, '{"a": true}': {"a": True}, "{'a': '\\d'}": {"a": "\\d"}}.items(),
)
def test_what_is_data(text, expected):
    assert literal.mapping(text) == expected


@pytest.mark.parametrize(
    "text",
    [text for text in REFUSED if REFUSED[text]] + ["[]", "'x'", "1", *hostile.LANGUAGES.values()],
    ids=lambda t: ascii(t)[:30],
)
def test_a_context_that_cannot_be_meant_is_one_line(text, capsys):
    assert cli.main(["launch", "--tags", "x", "--additional-context", text]) == 2
    said = capsys.readouterr().err

    assert said.startswith("madctl: --additional-context: it") and said.endswith("[CONTEXT_MALFORMED]\n")
    assert said.count("\n") == 1 and hostile.is_harmless(said[:-1]) and len(said) < 300


@pytest.mark.fuzz
def test_any_text_is_a_mapping_or_refused(rounds):
    samples = [
        b"{'a': {'b': [1, 2.5, None]}, 'c': 'x'}",
        b'{"docker_env_vars": {"A": "1"}, "d": true}',
        b"{{}}",
        b"{1e9: {}}",
    ]
    read = 0
    for data in hostile.mutated(samples, rounds):
        try:
            found = madengine_options.parse(data.decode("utf-8", "surrogateescape"))
        except ValueError:
            continue
        read += 1
        assert isinstance(found, dict) and json.dumps(found, allow_nan=False).encode()
    assert 0 < read < rounds
