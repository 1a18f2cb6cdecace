# SPDX-License-Identifier: Apache-2.0
"""madctl and its collection, installed as users install them, from each kind of source, where nothing of them is."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import sources
from tests.integration import bare_ansible
from tests.integration.command import ALONE
from tests.unit.other_pythons import PYTHONS
from tools import artifacts

ROOT = Path(__file__).parents[2]
VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
SUPPORTED = ("3.11", "3.12", "3.13")
UV = ROOT / ".venv/frameworks/bin/uv"
PIPX = Path(sys.executable).with_name("pipx")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return sources.commit(sources.copy(tmp_path_factory.mktemp("repository")))


@pytest.fixture(scope="module")
def dist(repository, tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    artifacts.build(repository, directory, artifacts.time_of(repository, "HEAD"))
    return directory


def run(*argv, cwd, env):
    done = subprocess.run(list(map(str, argv)), env=env, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


# Collection


@pytest.fixture(scope="module")
def tarball(dist):
    return dist / f"madctl-multinode-{VERSION}.tar.gz"


@pytest.fixture
def galaxy(tmp_path):
    """Return a runner of Ansible's programs that finds ansible-core, and in an empty home, nothing else."""
    programs = bare_ansible.environment(bare_ansible.OLDEST)
    (tmp_path / "home").mkdir()
    env = {**bare_ansible.variables(tmp_path / "tree"), "HOME": str(tmp_path / "home")}
    return lambda name, *words: run(programs / name, *words, cwd=tmp_path, env=env)


def digests(directory):
    """Return what was installed; only the order of these two's entries depends on the source."""
    found = [
        path for path in directory.rglob("*") if path.is_file() and path.name not in ("FILES.json", "MANIFEST.json")
    ]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def words_for(kind, tarball, repository, directory):
    """Return what a user passes to ``ansible-galaxy collection install``."""
    url = f"git+file://{repository}"
    if kind in ("tarball", "git"):
        return [tarball if kind == "tarball" else f"{url},main"]
    wanted = {
        "requirement of a tarball": {"name": str(tarball), "type": "file"},
        "requirement of git": {"name": url, "type": "git", "version": "main"},
    }
    (directory / "requirements.yml").write_text(yaml.safe_dump({"collections": [wanted[kind]]}))
    return ["-r", "requirements.yml"]


@pytest.mark.parametrize("kind", ["tarball", "git", "requirement of a tarball", "requirement of git"])
def test_the_collection_installs_from(kind, galaxy, repository, tarball, tmp_path):
    galaxy("ansible-galaxy", "collection", "install", *words_for(kind, tarball, repository, tmp_path))
    installed = tmp_path / "tree/ansible_collections/madctl/multinode"
    (tmp_path / "unpacked").mkdir()
    run("tar", "-xzf", tarball, "-C", tmp_path / "unpacked", cwd=tmp_path, env=None)

    assert digests(installed) == digests(tmp_path / "unpacked")
    assert f"madctl.multinode {VERSION}" in " ".join(galaxy("ansible-galaxy", "collection", "list").split())
    galaxy("ansible-galaxy", "collection", "verify", "--offline", "madctl.multinode")
    assert str(installed) in galaxy("ansible-playbook", "madctl.multinode.launch", "--syntax-check")
    assert "launch_work" in galaxy("ansible-doc", "--type", "role", "madctl.multinode.launch")


# Command


@pytest.fixture(scope="module")
def wheel(dist):
    return dist / f"madctl-{VERSION}-py3-none-any.whl"


def installed_by_uv(wheel, python, place):
    env = {**os.environ, "UV_TOOL_DIR": str(place / "tools"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    run(UV, "tool", "install", "--quiet", "--python", python, wheel, cwd=place, env=env)
    return place / "tools/madctl"


def installed_by_pipx(wheel, python, place):
    env = {
        **os.environ,
        "PIPX_HOME": str(place),
        "PIPX_BIN_DIR": str(place / "bin"),
        "PIPX_MAN_DIR": str(place / "man"),
    }
    run(PIPX, "install", "--quiet", "--python", python, wheel, cwd=place, env=env)
    assert (place / "man/man1/madctl.1").exists()
    return place / "venvs/madctl"


INSTALLERS = {"uv": installed_by_uv, "pipx": installed_by_pipx}
# All versions of Python take long, and what differs between them is seen by other tests, too.
WAYS = [
    pytest.param(installer, version, marks=[] if version == OWN else [pytest.mark.long], id=f"{installer}-{version}")
    for version in SUPPORTED
    for installer in INSTALLERS
]


@pytest.mark.parametrize(("installer", "version"), WAYS)
def test_the_command_runs_from_an_environment_of_its_own(installer, version, wheel, tmp_path):
    if version not in PYTHONS:
        pytest.skip(f"no Python {version} here")
    environment = INSTALLERS[installer](wheel, PYTHONS[version], tmp_path)
    (tmp_path / "home").mkdir()
    hidden = ("PYTHON", "ANSIBLE", "XDG", "MADCTL", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    env = {**env, "HOME": str(tmp_path / "home")}
    madctl = tmp_path / "bin/madctl"

    def said(*argv):
        return run(*argv, cwd=tmp_path, env=env)

    assert said(madctl, "--version") == f"madctl {VERSION}\n"
    assert "launch" in said(madctl, "--help")
    assert (environment / "share/man/man1/madctl.1").exists()
    assert said(environment / "bin/python", "-c", "import madctl; print(madctl.__version__)") == f"{VERSION}\n"
    playbook = said(environment / "bin/ansible-playbook", "madctl.multinode.launch", "--syntax-check")
    assert str(environment) in playbook
    alone = ALONE if os.geteuid() == 0 else []
    launch = [*alone, madctl, "launch", "--run-dir", tmp_path / "runs", "--command"]
    assert "HOST       ADDRESS" in said(*launch, "--dry-run", "--", "true")
    # Ansible starts it, and has to find the collection and its own programs in that environment.
    assert "hello" in said(*launch, "--", "echo", "hello")
