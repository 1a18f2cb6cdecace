# SPDX-License-Identifier: Apache-2.0
"""The project to copy: what its README shows is typed by the test of documents, and its workflows are what they should be."""

import re
from pathlib import Path

import pytest
import yaml

from tests.integration import reader_shell

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "examples" / "project"
PAGE = ROOT / "docs" / "how_to" / "example_project.md"
WORKFLOWS = (".github/workflows/train.yml", ".gitlab-ci.yml")


def commands(path):
    return [step.text for step in reader_shell.read(path.read_text()) if isinstance(step, reader_shell.Command)]


def files():
    """Return the files that are copied, by their paths in the project."""
    found = {str(path.relative_to(PROJECT)) for path in PROJECT.rglob("*") if path.is_file()}
    return {path for path in found if "__pycache__" not in path} - {"README.md", ".gitignore"}


def test_what_its_readme_shows_is_typed():
    assert commands(PROJECT / "README.md")
    assert set(commands(PROJECT / "README.md")) <= set(commands(PAGE))


@pytest.mark.parametrize("page", [PAGE, PROJECT / "README.md"], ids=["page", "readme"])
def test_every_file_is_described(page):
    cells = " ".join(re.findall(r"^\| (`.*?) \|", page.read_text(), re.M))
    named = re.findall(r"`([^`]+)`", cells)

    assert {name for path in files() for name in named if path == name or path.startswith(name)} == set(named)
    assert {path for path in files() if not any(path == name or path.startswith(name) for name in named)} == set()


@pytest.mark.parametrize("path", WORKFLOWS)
def test_a_workflow_types_what_the_readme_shows_and_stops_the_run_if_it_is_cancelled(path):
    text = (PROJECT / path).read_text()
    job = yaml.safe_load(text)

    assert [text.index(command) for command in commands(PROJECT / "README.md")] == sorted(
        text.index(command) for command in commands(PROJECT / "README.md")
    )
    assert text.index("ansible-playbook madctl.multinode.stop") > text.index("ansible-playbook train.yml")
    assert ("jobs" in job) != ("train" in job)


def minutes(path):
    job = yaml.safe_load((PROJECT / path).read_text())
    return job["jobs"]["train"]["timeout-minutes"] if "jobs" in job else int(job["train"]["timeout"].split()[0])


@pytest.mark.parametrize("path", WORKFLOWS)
def test_the_nodes_end_a_run_before_the_workflow_is_killed(path):
    variables = yaml.safe_load((PROJECT / "inventory/group_vars/all.yml").read_text())

    assert minutes(path) * 60 > variables["madctl_timeout"]


def test_its_collection_is_this_version():
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    wanted = yaml.safe_load((PROJECT / "requirements.yml").read_text())["collections"]

    assert wanted[0]["name"] == "madctl.multinode"
    assert wanted[0]["version"].startswith(f">={version},")
