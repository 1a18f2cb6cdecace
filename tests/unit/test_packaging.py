# SPDX-License-Identifier: Apache-2.0
"""The wheel, the sdist and the collection's tarball: what is in them, and the same bytes from the same sources."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
import tomllib
import yaml

import madctl
from tests import sources
from tools import artifacts

ROOT = Path(__file__).parents[2]
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
VERSION = GALAXY["version"]


def run(*argv, cwd=ROOT, env=None):
    return subprocess.run(argv, cwd=cwd, env={**os.environ, **(env or {})}, check=True, capture_output=True, text=True)


def names_in(path):
    """Return the names of the files in an archive; an sdist has all of them in one directory."""
    if path.suffix == ".whl":
        return set(zipfile.ZipFile(path).namelist())
    with tarfile.open(path) as archive:
        names = {member.name for member in archive if member.isfile()}
    return {name.removeprefix(f"madctl-{VERSION}/") for name in names}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build from a directory that was filled backwards, on the file system of temporary files."""
    directory = tmp_path_factory.mktemp("dist")
    source = sources.copy(tmp_path_factory.mktemp("source"), lambda names: sorted(names, reverse=True))
    artifacts.build(source, directory, artifacts.time_of(ROOT, "HEAD"))
    return directory


@pytest.fixture(scope="module")
def wheel(dist):
    return dist / f"madctl-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="module")
def sdist(dist):
    return dist / f"madctl-{VERSION}.tar.gz"


@pytest.fixture(scope="module")
def tarball(dist):
    return dist / f"madctl-multinode-{VERSION}.tar.gz"


def plugins(names, prefix):
    return {
        name.removeprefix(prefix) for name in names if name.startswith(prefix + "plugins/") and name.endswith(".py")
    }


@pytest.mark.slow
def test_both_artifacts_carry_the_same_plugins(wheel, tarball):
    in_wheel, in_tarball = names_in(wheel), names_in(tarball)
    expected = plugins((str(path.relative_to(ROOT)) for path in ROOT.glob("plugins/**/*.py")), "")

    assert plugins(in_wheel, "ansible_collections/madctl/multinode/") == plugins(in_tarball, "") == expected
    assert not [name for name in [*in_wheel, *in_tarball] if "molecule" in name or name.endswith(".pyc")]
    assert f"madctl-{VERSION}.data/data/share/man/man1/madctl.1" in in_wheel
    assert {"madctl/output.schema.json", "madctl/py.typed"} <= in_wheel
    licences = {f"madctl-{VERSION}.dist-info/licenses/LICENSES/{path.name}" for path in ROOT.glob("LICENSES/*")}
    assert licences <= in_wheel


@pytest.mark.slow
def test_the_tarball_has_the_collection_and_nothing_else(tarball):
    parts = ("LICENSES/", "playbooks/", "plugins/", "roles/")
    own = {name for name in sources.names() if name.startswith(parts)}
    more = {"CHANGELOG.md", "LICENSE", "README.md", "meta/runtime.yml", "requirements.yml"}

    assert names_in(tarball) == own | more | {"FILES.json", "MANIFEST.json"}


@pytest.mark.slow
def test_the_sdist_has_all_sources_and_builds_the_same_wheel(sdist, wheel, tmp_path):
    argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    run(*argv, env={"SOURCE_DATE_EPOCH": str(artifacts.time_of(ROOT, "HEAD"))})

    assert names_in(sdist) == {name for name in sources.names() if not name.startswith(".ci/")} | {"PKG-INFO"}
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.slow
def test_an_index_takes_the_wheel_and_the_sdist(wheel, sdist):
    checked = run(artifacts.PROGRAMS / "twine", "check", "--strict", wheel, sdist)
    run(artifacts.PROGRAMS / "check-wheel-contents", wheel)

    assert checked.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_same_sources_make_the_same_bytes(dist, tmp_path, monkeypatch):
    # Elsewhere, later, by another user's habits, and from files that came in another order.
    source = sources.copy(tmp_path / "deeper" / "source")
    os.utime(source / "README.md", (1, 1))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    before, second = os.umask(0o077), int(max(path.stat().st_mtime for path in dist.iterdir()))
    while int(time.time()) == second:
        time.sleep(0.05)
    try:
        built = artifacts.build(source, tmp_path / "dist", artifacts.time_of(ROOT, "HEAD"))
    finally:
        os.umask(before)

    assert [path.name for path in built] == sorted(path.name for path in dist.iterdir())
    assert [path.name for path in built if path.read_bytes() != (dist / path.name).read_bytes()] == []


@pytest.mark.slow
def test_the_order_of_a_directory_does_not_show_in_the_tarball(tarball):
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
        listing, manifest = (archive.extractfile(name).read() for name in names[:2])
    entries, files = json.loads(listing)["files"], json.loads(manifest)["file_manifest_file"]

    assert names[2:] == sorted(names[2:])
    assert [entry["name"] for entry in entries] == [".", *names[2:]]
    assert files["chksum_sha256"] == hashlib.sha256(listing).hexdigest()


def test_a_checkout_has_the_version_of_its_file(tmp_path):
    (tmp_path / "madctl").mkdir()
    for name in ("madctl/__init__.py", "madctl/version.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "galaxy.yml").write_text((ROOT / "galaxy.yml").read_text().replace(VERSION, "9.8.7"))
    code = [sys.executable, "-c", "import madctl; print(madctl.__version__)"]
    changed = run(*code, cwd=tmp_path).stdout
    (tmp_path / "galaxy.yml").write_text("---\nnamespace: other\nversion: 9.8.7\n")

    assert changed == "9.8.7\n"
    assert run(*code, cwd=tmp_path).stdout == f"{madctl.__version__}\n"
    assert madctl.__version__ == VERSION


def test_wheel_and_collection_say_the_same_of_themselves():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    urls = {name: project["urls"][name.title()] for name in ("homepage", "documentation", "issues")}

    assert {name: GALAXY[name] for name in urls} == urls
    assert GALAXY["repository"] == project["urls"]["Source"]
    assert GALAXY["license"] == project["license"].split(" AND ")
    assert GALAXY["authors"] == [author["name"] for author in project["authors"]]
    assert {f"{name}.txt" for name in GALAXY["license"]} <= {path.name for path in ROOT.glob("LICENSES/*")}
    assert (ROOT / "LICENSE").read_text() == (ROOT / "LICENSES/Apache-2.0.txt").read_text()
