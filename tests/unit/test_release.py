# SPDX-License-Identifier: Apache-2.0
"""A release in a repository of its own: one commit, one tag, the artifacts of that tag; or nothing at all."""

import shutil
import subprocess
import sys
import tarfile

import pytest
import yaml

from docs.generators import changelog
from tests import sources
from tests.sources import ROOT
from tools import artifacts, release

FRAGMENT = "---\nminor_changes:\n  - A second thing, ``--second``.\n  - A first thing.\n"


def git(repository, *words):
    done = subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def state(repository):
    """Return everything that a release changes."""
    return (
        git(repository, "for-each-ref"),
        git(repository, "status", "--porcelain"),
        git(repository, "worktree", "list"),
    )


@pytest.fixture
def small(tmp_path):
    """Return a repository with all that is looked at before a release."""
    (tmp_path / "changelogs/fragments").mkdir(parents=True)
    (tmp_path / "galaxy.yml").write_text("---\nnamespace: madctl\nversion: 1.2.0\n")
    (tmp_path / "changelogs/fragments/1.10.0-first.yml").write_text(FRAGMENT)
    return sources.commit(tmp_path)


def tag(repository):
    git(repository, "tag", "v1.10.0")


def change(repository):
    (repository / "galaxy.yml").write_text("---\nversion: 1.2.1\n")


def add(repository):
    (repository / "new").touch()


def write_another(repository):
    (repository / "changelogs/fragments/2.0.0-other.yml").write_text(FRAGMENT)
    sources.commit(repository)


REFUSED = {
    "dirty": (change, "1.10.0", "has changes"),
    "untracked": (add, "1.10.0", "has changes"),
    "tagged": (tag, "1.10.0", "v1.10.0 exists already"),
    "no fragment": (None, "1.11.0", "no changelogs/fragments/1.11.0-"),
    "other fragments": (write_another, "1.10.0", "other versions: 2.0.0"),
    "older": (None, "1.1.0", "1.1.0 is older than 1.2.0"),
    "not a version": (None, "v1.10.0", "'v1.10.0' is not a version"),
    "empty": (None, "", "'' is not a version"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_release_is_refused(case, small):
    prepare, version, said = REFUSED[case]
    if prepare:
        prepare(small)

    with pytest.raises(SystemExit, match=said):
        release.refuse(small, version)


def test_a_release_that_can_be_made_is_not_refused(small):
    assert release.refuse(small, "1.10.0") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('version: ">=0.1.0,<0.2.0"', 'version: ">=0.3.1,<0.4.0"'),
        ("madctl-0.1.0-py3-none-any.whl, madctl-multinode-0.1.0.tar.gz", None),
        ("`madctl~=0.1.0` never installs one. 0.1.0.", "`madctl~=0.3.1` never installs one. 0.3.1."),
        ("10.1.0, 0.1.01, 0.1.0.1, 192.0.1.0, 1.0.2.0", "10.1.0, 0.1.01, 0.1.0.1, 192.0.1.0, 1.0.2.0"),
    ],
)
def test_pages_name_the_version_of_the_release(text, expected):
    assert release.renumbered(text, "0.1.0", "0.3.1") == (expected or text.replace("0.1.0", "0.3.1"))


def test_what_may_break_promises_comes_after_the_first_number():
    assert release.renumbered(">=0.9.0,<0.10.0", "0.9.0", "1.0.0") == ">=1.0.0,<2.0.0"


def released(repository, version):
    argv = [sys.executable, "-m", "tools.release", version]
    return subprocess.run(argv, cwd=repository, capture_output=True, text=True)


def next_is(repository, version):
    """Leave one fragment, of this version."""
    fragments = repository / "changelogs/fragments"
    fragments.mkdir(exist_ok=True)
    for path in fragments.glob("*.yml"):
        path.unlink()
    (fragments / f"{version}-test.yml").write_text(FRAGMENT)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    directory = sources.copy(tmp_path_factory.mktemp("repository"))
    next_is(directory, "99.1.0")
    return sources.commit(directory)


@pytest.fixture(scope="module")
def made(repository):
    """Release 99.1.0, and return what was printed."""
    done = released(repository, "99.1.0")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_release_is_one_commit_and_its_artifacts(repository, made):
    names = ["madctl-99.1.0-py3-none-any.whl", "madctl-99.1.0.tar.gz", "madctl-multinode-99.1.0.tar.gz"]
    commands = [line for line in made.splitlines() if line.startswith("  ")]

    assert git(repository, "log", "-2", "--format=%s") == "Release 99.1.0\nBegin"
    assert git(repository, "rev-parse", "v99.1.0^{commit}") == git(repository, "rev-parse", "main")
    assert git(repository, "cat-file", "-t", "v99.1.0") == "tag"
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "grep", "-l", "-F", "99.1.0", "--", "examples", "docs/how_to").count("\n") == 3
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert sorted(path.name for path in (repository / "dist").iterdir()) == names
    assert commands[0] == "  git push origin main v99.1.0"
    assert [line.split("/bin/")[1] for line in commands[1:]] == [
        f"twine upload dist/{names[0]} dist/{names[1]}",
        f"ansible-galaxy collection publish dist/{names[2]}",
    ]
    with tarfile.open(repository / "dist" / names[2]) as archive:
        packed = archive.extractfile("CHANGELOG.md").read().decode()
    assert packed == (repository / "CHANGELOG.md").read_text()


def test_a_release_changes_nothing_but_the_heading_of_the_changelog(tmp_path):
    shutil.copytree(ROOT / "changelogs", tmp_path / "changelogs")
    next_is(tmp_path, "99.1.0")
    pending = changelog.changelog(tmp_path / "changelogs")
    argv = [artifacts.PROGRAMS / "antsibull-changelog", "release", "--version", "99.1.0", "--date", "2030-01-02"]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)

    assert "## 99.1.0 (not yet released)" in pending
    assert changelog.changelog(tmp_path / "changelogs") == pending.replace("not yet released", "2030-01-02")


@pytest.mark.slow
@pytest.mark.usefixtures("made")
def test_the_changelog_is_what_was_recorded(repository):
    recorded = yaml.safe_load((repository / "changelogs/changelog.yaml").read_text())["releases"]["99.1.0"]
    page = (repository / "CHANGELOG.md").read_text()

    assert recorded["changes"] == {"minor_changes": ["A first thing.", "A second thing, ``--second``."]}
    entries = "### Changed\n\n- A first thing.\n- A second thing, `--second`.\n"
    assert f"## 99.1.0 ({recorded['release_date']})\n\n{entries}" in page
    assert not list((repository / "changelogs/fragments").glob("*.yml"))


@pytest.mark.slow
def test_a_release_that_fails_leaves_nothing(repository):
    git(repository, "switch", "-q", "--create", "broken")
    next_is(repository, "99.2.0")
    (repository / "README.md").unlink()
    sources.commit(repository, "Break")
    before = state(repository)
    done = released(repository, "99.2.0")
    after = state(repository)
    git(repository, "switch", "-q", "main")

    assert done.returncode == 1
    assert "README.md" in done.stderr
    assert after == before
