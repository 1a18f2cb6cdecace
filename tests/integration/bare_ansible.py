# SPDX-License-Identifier: Apache-2.0
"""
The collection without madctl: an ansible-core of some line in an environment of its own, and the tarball in an empty tree.

Environments are kept in ``.venv/cores``, like those of other tools that only tests need.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from madctl.lab import state
from tests.integration import playbook_results

ROOT = Path(__file__).parents[2]
OLDEST = "2.17"
# Each line of ansible-core, and the Python that it is tested with.
PYTHONS = {"2.17": "3.11", "2.18": "3.12", "2.19": "3.13"}


@dataclass(frozen=True)
class Played:
    """How ansible-playbook ended."""

    code: int
    out: str
    err: str
    results: tuple = ()

    @property
    def all(self):
        return self.out + self.err

    @property
    def run_id(self):
        return re.search(r"^run     (\S+)$", self.out, re.M)[1]

    def codes(self):
        """Return the problems that were shown, as hosts and codes."""
        found = re.findall(r"^madctl: (\S+): .*\[([A-Z_]+)\]$", self.out, re.M)
        return sorted({(host.name, code) for hosts, code in found for host in hostlist.from_list(hosts)})

    def failed(self):
        """Return the messages of the tasks that failed, by host."""
        found = re.findall(r"^fatal: \[(\S+)\]: FAILED! => (.*)$", self.out, re.M)
        return {host: json.loads(result)["msg"] for host, result in found}


def python(core):
    """Find the Python that a line of ansible-core is tested with; None where this machine lacks it."""
    version = PYTHONS[core]
    places = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for place in filter(None, places):
        code = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
        asked = subprocess.run([place, "-c", code], capture_output=True, text=True, check=False)
        if asked.stdout.strip() == version:
            return str(place)
    return None


def need(core):
    """Skip a test of a line of ansible-core whose Python this machine lacks, by its name."""
    if python(core) is None:
        pytest.skip(f"no Python {PYTHONS[core]} here: ansible-core {core} is not tested")


def environment(core):
    """Make an environment with nothing but ansible-core, and give its programs' directory."""
    interpreter = python(core)
    place = ROOT / ".venv" / "cores" / (f"{core}-{PYTHONS[core]}" if interpreter else core)
    place.parent.mkdir(exist_ok=True)
    # Two files of tests may want the same at the same time.
    with open(f"{place}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / ".installed").exists():
            subprocess.run([interpreter or sys.executable, "-m", "venv", "--clear", str(place)], check=True)
            argv = [str(place / "bin" / "pip"), "install", "-q", f"ansible-core=={core}.*"]
            subprocess.run(argv, check=True, capture_output=True, timeout=300)
            (place / ".installed").touch()
    return place / "bin"


def variables(tree):
    """Return the environment of a shell that knows nothing of this checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    found = {"ANSIBLE_COLLECTIONS_PATH": str(tree), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "0", "ANSIBLE_NOCOLOR": "1"}
    return {**kept, **found}


def install(core, tarball, tree):
    """Install the tarball into an empty tree, as an operator does."""
    argv = [str(environment(core) / "ansible-galaxy"), "collection", "install", "-p", str(tree), str(tarball)]
    subprocess.run(argv, check=True, capture_output=True, env=variables(tree), cwd=tree)


def build(directory):
    """Build the tarball, with nothing but ansible-core, as ``ansible-galaxy`` does for a requirement of type git."""
    argv = [
        str(environment(OLDEST) / "ansible-galaxy"),
        "collection",
        "build",
        "--output-path",
        str(directory),
        str(ROOT),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    return next(directory.glob("*.tar.gz"))


def play(core, tree, playbook, *words, env=None, **more):
    """Run a playbook of the installed collection, and hold its results and its words against what is promised."""
    argv = [str(environment(core) / "ansible-playbook"), playbook, *map(str, words)]
    done = playbook_results.play(argv, {**variables(tree), **(env or {})}, tree, cwd=tree, **more)
    return Played(done.returncode, done.stdout, done.stderr, tuple(done.results))


def start(core, tree, playbook, *words, env=None):
    """Start a playbook with everything it says on one stream, as a terminal of its own would."""
    # A process in the background, as tests may be, ignores interrupts, and so does what it starts.
    argv = ["env", "--default-signal=INT", str(environment(core) / "ansible-playbook"), playbook, *map(str, words)]
    joined = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    return subprocess.Popen(argv, cwd=tree, env={**variables(tree), **(env or {})}, **joined)


def inventory(lab):
    """Name the inventory of a lab."""
    return state.directory(lab.name) / "inventory.yml"
