# SPDX-License-Identifier: Apache-2.0
"""Both artifacts install into an empty environment, and the launch playbook is found in each."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    argv = [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(directory), str(ROOT)]
    subprocess.run(argv, check=True, capture_output=True)
    return directory


def plugins(names, prefix):
    return {
        name.removeprefix(prefix) for name in names if name.startswith(prefix + "plugins/") and name.endswith(".py")
    }


def test_both_artifacts_carry_the_same_plugins(dist):
    wheel = zipfile.ZipFile(next(dist.glob("*.whl"))).namelist()
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        tarball = archive.getnames()
    expected = plugins((str(path.relative_to(ROOT)) for path in ROOT.glob("plugins/**/*.py")), "")

    assert plugins(wheel, "ansible_collections/madctl/multinode/") == plugins(tarball, "") == expected
    assert not [name for name in [*wheel, *tarball] if "molecule" in name or name.endswith(".pyc")]
    assert "madctl-0.1.0.data/data/share/man/man1/madctl.1" in wheel
    assert {"madctl/output.schema.json", "madctl/py.typed"} <= set(wheel)
    assert {"CHANGELOG.md", "LICENSE", "README.md", "meta/runtime.yml"} <= set(tarball)


def test_the_tarball_has_the_collection_and_nothing_else(dist):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        packed = {member.name for member in archive if member.isfile()}
    parts = [path for part in ("LICENSES", "playbooks", "plugins", "roles") for path in (ROOT / part).rglob("*")]
    own = {str(path.relative_to(ROOT)) for path in parts if path.is_file() and path.suffix != ".pyc"}
    more = {"CHANGELOG.md", "LICENSE", "README.md", "meta/runtime.yml", "requirements.yml"}

    assert packed == own | more | {"FILES.json", "MANIFEST.json"}


def test_the_wheel_alone_runs(dist, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", str(tmp_path)], check=True)
    python = tmp_path / "bin" / "python"
    # What madctl depends on comes from the tests' own environment; madctl itself does not.
    site = next((tmp_path / "lib").iterdir()) / "site-packages"
    argv = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(site),
        str(next(dist.glob("*.whl"))),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    others = str(Path(os.__file__).parent / "site-packages")
    mine = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), mine, others])}
    code = "import madctl.cli, sys; sys.exit(madctl.cli.main(['--version']))"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)
    syntax = [python, "-m", "ansible", "playbook", "madctl.multinode.launch", "--syntax-check"]
    checked = subprocess.run(syntax, capture_output=True, text=True, env=environment, cwd=tmp_path)

    assert version.stdout.strip() == "madctl 0.1.0", version.stderr
    assert checked.returncode == 0, checked.stderr


def test_the_tarball_alone_runs(dist, tmp_path):
    argv = [str(BIN / "ansible-galaxy"), "collection", "install", "-p", str(tmp_path), str(next(dist.glob("*.tar.gz")))]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "0"}
    subprocess.run(argv, check=True, capture_output=True, env=environment)
    syntax = [str(BIN / "ansible-playbook"), "madctl.multinode.launch", "--syntax-check"]
    checked = subprocess.run(syntax, capture_output=True, text=True, env=environment, cwd=tmp_path)

    assert checked.returncode == 0, checked.stderr
    assert str(tmp_path) in checked.stdout
