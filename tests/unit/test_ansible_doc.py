# SPDX-License-Identifier: Apache-2.0
"""ansible-doc shows every plugin and every role of the collection."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ANSIBLE_DOC = Path(sys.executable).with_name("ansible-doc")
PLACES = {
    "module": "plugins/modules",
    "inventory": "plugins/inventory",
    "callback": "plugins/callback",
    "role": "roles",
}
PRESENT = [kind for kind, place in PLACES.items() if (ROOT / place).exists()]


def names(kind):
    paths = (ROOT / PLACES[kind]).iterdir()
    return sorted(
        f"madctl.multinode.{path.stem}"
        for path in paths
        if not path.name.startswith("_") and path.suffix in ("", ".py")
    )


def ask(*words):
    done = subprocess.run([ANSIBLE_DOC, *words], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", PRESENT)
def test_all_are_listed_and_shown(kind):
    listed = json.loads(ask("-t", kind, "--list", "--json", "madctl.multinode"))
    shown = json.loads(ask("-t", kind, "--json", *names(kind)))
    text = ask("-t", kind, *names(kind))

    assert sorted(listed) == sorted(shown) == names(kind)
    for name in names(kind):
        assert name in text
    if kind == "role":
        # Versions before 2.18 leave examples out.
        assert text.count("EXAMPLES:") == len(names(kind))
        assert text.count("What it registers") == len(names(kind)) - 1  # All but net_tools.
