# SPDX-License-Identifier: Apache-2.0
"""Documents say what the code says: codes, options, exit codes, links."""

import functools
import re
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, codes
from docs import generate
from docs.generators import command_line
from madctl.errors import ExitCode
from madctl.jobs import ends, slurm
from tests.unit.problem_codes import codes_in_source

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
# Options that documents show and that are not madctl's own.
FOREIGN = (
    *(
        "--bind-to",
        "--check",
        "--checkpoint",
        "--diff",
        "--epochs",
        "--keep-alive",
        "--lr",
        "--map-by",
        "--mca",
        "--no-python",
        "--skip-model-run",
    ),
    *("--skip-tags", "--batch", "--gpus-per-task", "--no-requeue", "--signal", "--test-only"),
    # Of Slurm and torchrun, where documents say what becomes of an option.
    *("--chdir", "--comment", "--gpu-bind", "--job-name", "--kill-on-bad-exit", "--licenses", "--mem", "--no-kill"),
    *("--node-rank", "--ntasks-per-node", "--open-mode", "--parsable", "--wait", "--wrap", "--json"),
    # Of launchers of frameworks.
    *("--config_file", "--num_machines", "--machine_rank", "--num_processes", "--main_process_ip"),
    *("--main_process_port", "--include", "--num_nodes", "--num_gpus", "--master_addr", "--master_port"),
    *("--deepspeed_config", "--no_ssh", "--node_rank", "--no_local_rank", "--local_rank"),
    # Of Hydra, and of programs that create environments.
    *("--multirun", "--base", "--prefix", "--quiet", "--without-pip"),
    # Of pip, ansible-galaxy and ansible-builder.
    *("--dest", "--find-links", "--no-index", "--tag", "--upgrade"),
)


def documented(page):
    return set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/reference" / page).read_text(), re.M))


def test_every_code_is_documented_and_every_documented_code_exists():
    pages = documented("errors.md"), documented("checks.md")

    assert pages[0] | pages[1] == codes_in_source() | set(catalog.CHECK_OF)
    assert not pages[0] & pages[1]


@pytest.mark.parametrize("page", generate.PAGES)
def test_pages_from_the_code_are_up_to_date(page):
    assert (ROOT / "docs" / page).read_text() == generate.PAGES[page](), "run make docs"


@functools.cache
def known_options():
    """All options that the parser knows, of all commands."""
    groups = [group for command in command_line.commands() for group in command.groups]
    spelled = " ".join(option.spelling for group in groups for option in group.options)
    return set(re.findall(r"--[a-z][a-z-]*", spelled)) | {"--help", "--help-all", "--version"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_in_a_document_exists(document):
    words = re.findall(r"(?<![\w-])--[a-z][a-z_-]+", document.read_text())

    assert {word for word in words if word not in known_options()} <= set(FOREIGN)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_exists(document):
    known = {command.name for command in command_line.commands()} | {"madctl help"}
    named = set(re.findall(r"`(madctl (?:lab )?[a-z][a-z-]*)", document.read_text()))

    assert named <= known


def test_why_a_launch_failed_names_codes_that_exist():
    text = (ROOT / "docs/explanation/why_a_launch_failed.md").read_text()
    named = set(re.findall(r"[`\[]([A-Z]+(?:_[A-Z]+)+)[`\]]", text))

    assert named
    assert named <= documented("errors.md") | documented("checks.md")


def test_exit_codes_are_those_of_the_code():
    text = (ROOT / "docs/reference/exit_codes.md").read_text()
    codes = [int(code) for codes in re.findall(r"^\| ([\d, ]+) \|", text, re.M) for code in codes.split(",")]

    assert sorted(codes) == sorted(ExitCode)


SLURM = ROOT / "docs/how_to/slurm.md"


def section(page, title):
    return page.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_what_becomes_of_every_option_of_slurm_is_described():
    groups = next(command.groups for command in command_line.commands() if command.name == "madctl launch")
    of_jobs = [group for group in groups if group.title in ("job of a scheduler", "Slurm")]
    offered = {re.findall(r"--[a-z-]+", option.spelling)[-1] for group in of_jobs for option in group.options}
    assert len(of_jobs) == 2
    cells = re.findall(r"^\| (`--.*?) \|", section(SLURM, "What each option becomes"), re.M)

    # On hosts of a list, nodes are left out by the same option.
    assert set(re.findall(r"--[a-z-]+", " ".join(cells))) == {*offered, "--exclude"}


def test_ends_of_a_job_of_slurm_are_those_of_the_code():
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| `([A-Z_]+)` \| (\d+) \|$", section(SLURM, "How it ends"), re.M)
    told = {name: (code, int(number)) for names, code, number in rows for name in re.findall(r"[A-Z_]+", names)}
    known = {name: ends.meaning(slurm.State(name)) for name in slurm.FINAL}

    assert told == {name: (cause.code, int(codes.exit_code_of([cause.code]))) for name, cause in known.items() if cause}


def links(document):
    """Return the files next to a Markdown document that it links to."""
    return [link for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()) if link]


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_of_pages_beside_the_site_lead_somewhere(name):
    assert not [link for link in links(ROOT / name) if not (ROOT / link).exists()]


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))

    assert listed == {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")}


def test_the_tests_that_hold_a_promise_of_security_exist():
    page = (ROOT / "docs/explanation/security.md").read_text()
    named = set(re.findall(r"`((?:unit|integration)/[\w/]+\.py)`", page))

    assert len(named) > 12
    assert {path for path in named if not (ROOT / "tests" / path).is_file()} == set()


def measured(document):
    """Yield the sections that have figures in cells of tables, with the benches that they name."""
    for text in re.split(r"\n(?=#+ )", document.read_text()):
        if re.search(r"\| \d[\d.,]* (?:s|ms|[KMG]iB|MB/s) \|", text):
            yield text.partition("\n")[0], set(re.findall(r"`(tests/bench/\w+\.py)`", text))


def test_tables_of_measured_figures_name_the_bench_that_measures_them():
    found = [one for document in DOCUMENTS for one in measured(document)]

    assert len(found) >= 3
    assert [title for title, benches in found if not benches] == []
    assert [name for _, benches in found for name in benches if not (ROOT / name).is_file()] == []


def test_the_glossary_is_in_the_order_of_the_alphabet():
    terms = re.findall(r"^## (.+)$", (ROOT / "docs/reference/glossary.md").read_text(), re.M)

    assert len(terms) > 30
    assert terms == sorted(set(terms))


def test_there_is_one_address_for_reports_of_vulnerabilities():
    pages = (ROOT / "SECURITY.md", ROOT / "docs/explanation/security.md")
    addresses = [re.findall(r"<(security@[^>]+)>", page.read_text()) for page in pages]

    assert addresses[0] == addresses[1]
    assert len(addresses[0]) == 1
