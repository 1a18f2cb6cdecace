# SPDX-License-Identifier: Apache-2.0
"""The reference lists every code that the source can report, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def codes_in_source():
    found = set()
    for path in [*ROOT.glob("madctl/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        text = path.read_text()
        found |= set(re.findall(r'(?:Problem|problem)\(\s*"([A-Z][A-Z_]+)"', text))
        found |= set(re.findall(r'"([A-Z]+_[A-Z_]+)",\s*re\.compile', text))
        found |= set(re.findall(r'\(\s*"([A-Z]+_[A-Z]+)",\s*"[a-z]', text))
        found |= set(re.findall(r'"([A-Z]+_[A-Z]+)"\) if', text))
        found |= set(re.findall(r'msg="([A-Z_]+):', text))
    return found


def test_every_code_is_documented_and_every_documented_code_exists():
    documented = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/reference/errors.md").read_text(), re.M))

    assert documented == codes_in_source()
