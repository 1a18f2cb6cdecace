# SPDX-License-Identifier: Apache-2.0
"""What the command line says of models: refusals that need no node, and the variables of the roles."""

import pytest

from madctl.commands import launch
from madctl.errors import UsageError
from madctl.request.parser import Parser
from madctl.request.role_variables import launch_variables
from tests.unit.playbook_requests import refusals


def variables(*words, work=(), environment=None):
    commands = Parser().add_subparsers()
    launch.register(commands)
    options = commands.choices["launch"].parse_args(list(words))
    options.work = list(work)
    return launch_variables(options, environment or {})


def test_contexts_go_to_the_plan_in_order(tmp_path):
    path = tmp_path / "context.json"
    path.write_text('{"docker_env_vars": {"A": 1}}')
    given = variables(
        *("--tags", "m", "--additional-context", "{'docker_env_vars': {'B': 2}}"),
        *("--additional-context-file", str(path)),
    )

    assert given["madctl_additional_context"] == [{"docker_env_vars": {"A": 1}}, {"docker_env_vars": {"B": 2}}]


def test_model_dir_is_the_working_directory():
    given = variables("--tags", "m", "--env", "MODEL_DIR=/srv/models", "--env", "A=b")

    assert (given["madctl_chdir"], given["madctl_chdir_required"]) == ("/srv/models", True)
    assert given["madctl_env"] == {"A": "b"}
    passed = variables("--tags", "m", "--env", "MODEL_DIR", environment={"MODEL_DIR": "/srv/models"})
    assert passed["madctl_chdir"] == "/srv/models"


def test_two_checkouts_are_refused():
    with pytest.raises(UsageError, match="different checkouts"):
        variables("--tags", "m", "--env", "MODEL_DIR=/srv/models", "--chdir", "/srv/other")


def test_model_dir_means_nothing_to_a_script():
    given = variables("--env", "MODEL_DIR=/srv/models", work=["train.py"])

    assert given["madctl_env"] == {"MODEL_DIR": "/srv/models"}
    assert given["madctl_chdir_required"] is False


@pytest.mark.parametrize("words", [["--keep-alive"], ["--additional-context", "{}"], ["-o", "/nfs/x.csv"]])
def test_words_that_undo_the_plan_are_refused_at_both_doors(words):
    with pytest.raises(UsageError):
        variables("--tags", "m", work=words)
    (found,) = refusals({"shape": "model", "tags": ["m"], "work": words})

    assert found["code"] == "USAGE"
    assert refusals({"shape": "command", "work": words}) == []


def test_a_playbook_has_a_variable_for_model_dir():
    given = {"shape": "model", "tags": ["m"], "env": {"MODEL_DIR": "/srv/models"}}
    (found,) = refusals(given)

    assert "madctl_chdir" in found["remedy"]
    assert refusals({**given, "chdir": "/srv/models"}) == []


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "a\x1b[2J"])
def test_what_is_no_tag_is_refused(tag):
    with pytest.raises(UsageError, match="tag"):
        variables("--tags", tag)
