# SPDX-License-Identifier: Apache-2.0
"""The codes of problems, as the source spells them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def codes_in_source():
    found = set()
    for path in [*ROOT.glob("madctl/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        text = path.read_text()
        found |= set(re.findall(r'(?:Problem|problem|[Rr]efused|HostsError)\(\s*"([A-Z][A-Z_]+)"', text))
        found |= set(re.findall(r'"([A-Z]+_[A-Z_]+)",\s*re\.compile', text))
        found |= set(re.findall(r'\(\s*"([A-Z]+_[A-Z]+)",\s*"[a-z]', text))
        found |= set(re.findall(r'"([A-Z]+_[A-Z]+)"\) if', text))
        found |= set(re.findall(r'_lost\(run, "([A-Z_]+)"', text))
        found |= set(re.findall(r'Runner\([^)]*?"([A-Z]+_[A-Z]+)"', text))
        found |= set(re.findall(r'msg="([A-Z_]+):', text))
    return found
