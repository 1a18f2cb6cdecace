# SPDX-License-Identifier: Apache-2.0
"""
Phrases that a native reader stumbles over do not come back: in documents, help texts, messages and READMEs of roles.

Each has what to write instead. A phrase belongs here once it was found twice, and only if it is never right.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("roles/*/README.md"),
]
PROGRAMS = [*ROOT.glob("madctl/**/*.py"), *ROOT.glob("plugins/**/*.py")]
INSTEAD = {
    r"\banew\b": "again",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bwhoever\b": "anyone who",
    r"\bthat which\b": "what",
    r"\b(start|starts|try|tries|restart|restarts)\b[^.;]{0,40} so often\b": "up to N times",
    r"\bfor so long\b|\bkeep so much\b": "for SECONDS, keep SIZE",
    r"\b(asked|said|told) of (a|the|it|its|his|one|nodes|hosts)\b": "asked the nodes, said about it",
    r"(?<!there )\b(is|are) no (part|name|number|host|node|job|pod|value|option|secret|text|key|list) (of|that|at)\b": (
        "is not a"
    ),
    r"\b(once|twice|trip|process|processes|session|\d+|N) a (node|rank|line|host|pod)\b": "per node",
    r"\bhow (a|the|its) run stands\b": "the state of the run",
    r"\bcannot be meant\b|\bempty of meaning\b": "is invalid, is ignored",
    r"\bremembered here\b": "recorded on this machine",
    r"\ba verb is missing\b": "needs a subcommand",
    r"(?<![\d.,:\[-])\b1 (ranks|nodes|processes|runs|hosts|seconds|days)\b": "1 rank",
    r"\bnobody follows\b|\bthe trying goes on\b": "detached, it retries",
    r"\bcounting of\b|\bknown to be found\b|\breally (connects|reads|shows)\b": "counting X, tested to detect, actually",
    r"\bis a node that madctl reaches\b|\bleave it alone\b|\bthose that were never seen\b": "as `ssh` does it",
    r"\bthere was nothing for\b|\bout of the kernel of\b": "not applicable, on this machine",
    r"\btelling all nodes to\b|\bwhat stdout carries\b": "stopping all nodes, output format",
    r"\bdefect of madctl\b|\bthe brain\b|\bwhat runs (left|of long ago left)\b": "bug in madctl, core logic, old runs",
}


def phrases(text):
    """Return the phrases to avoid in a text, however its lines are broken."""
    text = re.sub(r"\s+", " ", text)
    return [found[0] for pattern in INSTEAD for found in re.finditer(pattern, text, re.I)]


def messages(source):
    """Return the texts in a program that may be printed: all but docstrings."""
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in statements]
    return " | ".join(node.value for node in texts if isinstance(node.value, str))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_have_no_phrase_to_avoid(document):
    assert not phrases(document.read_text()), INSTEAD


def test_what_programs_print_has_no_phrase_to_avoid():
    found = {str(path.relative_to(ROOT)): phrases(messages(path.read_text())) for path in PROGRAMS}

    assert {path: avoid for path, avoid in found.items() if avoid} == {}, INSTEAD


@pytest.mark.parametrize(
    "text",
    [
        "start all ranks anew so often after a failure",
        "one process a node",
        "a text that is no name of a queue",
        "2 nodes, 1 ranks joined",
        "no run is\nremembered here",
    ],
)
def test_phrases_to_avoid_are_found(text):
    assert phrases(text)


@pytest.mark.parametrize(
    "text",
    ["there is no name of a queue", "once per node", "11 ranks", "recommended", "it depends on a node", "for so many"],
)
def test_plain_english_passes(text):
    assert not phrases(text)
