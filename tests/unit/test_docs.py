# SPDX-License-Identifier: Apache-2.0
"""The reference lists every code that the source can report, and no other."""

import importlib.util
import re
from pathlib import Path

from ansible_collections.madctl.multinode.plugins.module_utils import _catalog

ROOT = Path(__file__).parents[2]


def codes_in_source():
    found = set()
    for path in [*ROOT.glob("madctl/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        text = path.read_text()
        found |= set(re.findall(r'(?:Problem|problem)\(\s*"([A-Z][A-Z_]+)"', text))
        found |= set(re.findall(r'"([A-Z]+_[A-Z_]+)",\s*re\.compile', text))
        found |= set(re.findall(r'\(\s*"([A-Z]+_[A-Z]+)",\s*"[a-z]', text))
        found |= set(re.findall(r'"([A-Z]+_[A-Z]+)"\) if', text))
        found |= set(re.findall(r'_lost\(run, "([A-Z_]+)"', text))
        found |= set(re.findall(r'what, code = .*"([A-Z]+_[A-Z]+)"', text))
        found |= set(re.findall(r'msg="([A-Z_]+):', text))
    return found


def documented(page):
    return set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/reference" / page).read_text(), re.M))


def test_every_code_is_documented_and_every_documented_code_exists():
    pages = documented("errors.md"), documented("checks.md")

    assert pages[0] | pages[1] == codes_in_source() | set(_catalog.CHECK_OF)
    assert not pages[0] & pages[1]


def test_pages_from_the_code_are_up_to_date():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)

    for name in ("checks", "faults"):
        assert (ROOT / f"docs/reference/{name}.md").read_text() == getattr(generate, name)(), "run make docs"
