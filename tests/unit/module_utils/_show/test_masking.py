# SPDX-License-Identifier: Apache-2.0
"""What a user passed without typing it is not shown, and nothing else is hidden."""

import argparse
import base64
import json

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import Mask, named_like_a_secret, values
from madctl.errors import Problem
from madctl.request.role_variables import _environment, secrets
from madctl.result import Result, to_json

NAMES = {
    "HF_TOKEN": True,
    "WANDB_API_KEY": True,
    "AWS_SECRET_ACCESS_KEY": True,
    "GOOGLE_APPLICATION_CREDENTIALS": True,
    "PGPASSWORD_FILE": False,
    "DB_PASSWD": True,
    "dbPassword": True,
    "auth": True,
    "KEYBOARD": False,
    "MONKEY": False,
    "AUTHOR": False,
    "NCCL_DEBUG": False,
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert named_like_a_secret(name) == NAMES[name]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("NCCL_DEBUG", "INFO", ()),
        ("ANY", "1234567", ()),
        ("ANY", "12345678", ("12345678",)),
        ("API_KEY", "abc", ()),
        ("API_KEY", "abcd", ("abcd",)),
        ("API_KEY", "abcd\n", ("abcd",)),
        ("KEY", "", ()),
        ("SSH_KEY", "BEGIN\nabc\n  MIIE==\nEND", ("BEGIN\nabc\n  MIIE==\nEND", "BEGIN", "MIIE==")),
    ],
)
def test_what_is_a_secret(name, value, found):
    assert values([(name, value)]) == found


TEXTS = {
    "a hunter22 b": "a *** b",
    "hunter22hunter22": "******",
    "hunter2": "hunter2",
    "hunter22-long": "***",  # the longest first
    "xhunter22-lon": "x***-lon",
    "22-long-er": "***",
    "hunter22-long-er": "***",  # overlapping: no end of one is left
}


@pytest.mark.parametrize("text", TEXTS)
def test_texts_and_lines(text):
    mask = Mask(("hunter22", "hunter22-long", "22-long-er"))

    assert mask.text(text) == TEXTS[text]
    assert mask.line(text.encode()) == TEXTS[text].encode()


def test_nothing_to_hide_changes_nothing():
    problem = Problem("X", "y")

    assert Mask().text("abc") == "abc"
    assert Mask(("",)).text("abc") == "abc"
    assert Mask().data(problem) is problem


@pytest.mark.parametrize("show", [str, repr, json.dumps, lambda text: json.dumps(text, ensure_ascii=False)])
@pytest.mark.parametrize("secret", ['pa"ss\\word', "pässword", 'pä"ssword', "two\nlines"])
def test_secrets_in_printed_settings(show, secret):
    shown = Mask((secret,)).text(show(secret))

    assert "***" in shown and "ss" not in shown and "lines" not in shown


def test_bytes_that_are_not_text():
    secret = b"hunter\xff22"

    assert Mask((secret.decode("utf-8", "surrogateescape"),)).line(b"a " + secret) == b"a ***"


def test_data():
    packed = {"base64": base64.b64encode(b"a hunter22\xff").decode()}
    data = {
        "nodes": [
            {"host": "hunter22", "env": {"T": "hunter22", "code": "hunter22", "B": packed}, "argv": ["--t=hunter22"]}
        ],
        "n": 1,
        "none": None,
        "pair": ("hunter22", 2),
    }

    assert Mask(("hunter22",)).data(data) == {
        "nodes": [
            {
                # Programs look for hosts, so these are not hidden.
                "host": "hunter22",
                "env": {"T": "***", "code": "***", "B": {"base64": base64.b64encode(b"a ***\xff").decode()}},
                "argv": ["--t=***"],
            }
        ],
        "n": 1,
        "none": None,
        "pair": ("***", 2),
    }


@pytest.mark.parametrize("word", [{"base64": "hunter22"}, {"base64": "*hunter22"}, {"base64": None}])
def test_words_that_are_not_words(word):
    Mask(("hunter22",)).data(word)


def test_results():
    result = Result("launch", "failed", 1, "run", {"x": "hunter22"}, [Problem("C", "m hunter22", "h", "r hunter22")])
    shown = json.loads(to_json(Mask(("hunter22",)).data(result)))

    assert shown["data"] == {"x": "***"}
    assert shown["errors"][0] == {"code": "C", "host": "h", "message": "m ***", "remedy": "r ***"}
    assert shown["exit_code"] == 1


# -- which values of a request ----------------------------------------------------------------------


def found(tmp_path, env, file="", environment=()):
    path = tmp_path / "env"
    path.write_text(file)
    options = argparse.Namespace(env=env, env_file=str(path))
    wanted = {"madctl_env": _environment(options, dict(environment))}
    path.unlink()  # it may have been a pipe
    return secrets(options, wanted)


def test_values_of_a_request(tmp_path):
    outside = {"PASSED": "from-environment", "TOKEN": "abcd", "OTHER": "not-passed"}
    file = "# secret-comment\nIN_FILE=from-the-file\nNCCL_DEBUG=INFO\nLATER=overridden-in-file\nPASSED"

    assert found(tmp_path, ["TYPED=on-command-line", "TOKEN", "LATER=typed-value"], file, outside) == (
        "from-the-file",
        "from-environment",
        "abcd",
    )


def test_the_last_entry_says_where_a_value_came_from(tmp_path):
    assert found(tmp_path, ["A=typed-value", "A"], "", {"A": "from-environment"}) == ("from-environment",)
    assert found(tmp_path, ["A", "A=typed-value"], "", {"A": "from-environment"}) == ()
