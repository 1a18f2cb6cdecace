# SPDX-License-Identifier: Apache-2.0
"""A project with a directory below it, and a user, in which only the settings of a test count."""

import os
from pathlib import Path

import pytest

from madctl import cli


class Place:
    """Where a test is: its files of settings, and what a command line becomes there."""

    def __init__(self, root, environment):
        self.project = root / "project" / "madctl.toml"
        self.user = root / "config" / "madctl" / "madctl.toml"
        self.environment = environment
        for path in (self.project, self.user):
            path.parent.mkdir(parents=True)

    def parsed(self, *words):
        return cli.parsed(list(words))

    def set(self, source, text):
        """Set options in a file, or in the environment by ``NAME=VALUE``."""
        if source == "environment":
            name, _, value = text.partition("=")
            self.environment(name, value)
        else:
            getattr(self, source).write_text(text)


@pytest.fixture
def place(tmp_path, monkeypatch, one_parser):
    for name in [name for name in os.environ if name.startswith("MADCTL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = Place(Path(tmp_path), monkeypatch.setenv)
    monkeypatch.chdir(found.project.parent)
    return found


@pytest.fixture
def refusal(place):
    """Return the problem that a command line is refused with."""

    def refused(*words):
        with pytest.raises(cli.MadctlError) as caught:
            cli._run(list(words))
        assert caught.value.exit_code == 2
        (problem,) = caught.value.problems
        return problem

    return refused
