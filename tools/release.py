# SPDX-License-Identifier: Apache-2.0
"""
Release a version: ``python -m tools.release VERSION``.

One commit sets the version and moves the fragments into the changelog; it is tagged, and the wheel, the sdist and the
collection's tarball are built from that tag. All of this happens in a separate working tree, so that nothing has
changed if a step fails. Nothing is uploaded.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import artifacts

_NUMBER = re.compile(r"\d+\.\d+\.\d+")
_LINE = re.compile(r"^version: (.*)$", re.M)
# Where a reader copies the number, or what comes after it, from.
_NAMED = ("docs/how_to", "docs/reference/compatibility.md", "examples/project/requirements.yml")
_UPLOADS = """\
Nothing has been uploaded. These commands publish it:
  git push origin {pushed}
  {programs}/twine upload {packages}
  {programs}/ansible-galaxy collection publish {tarball}"""


def release(root: Path, version: str) -> None:
    """Commit, tag, build and check a version of the repository."""
    tag = f"v{version}"
    refuse(root, version)
    with _tagged(root, version, tag) as commit, tempfile.TemporaryDirectory() as temporary:
        built = _build(root, tag, Path(temporary) / "first")
        again = _build(root, tag, Path(temporary) / "second" / "below")
        _check(built, again)
        _git(root, "merge", "--quiet", "--ff-only", commit)
        dist = root / "dist"
        dist.mkdir(exist_ok=True)
        for path in built:
            (dist / path.name).write_bytes(path.read_bytes())
    names = [f"dist/{path.name}" for path in built]
    tarball = next(name for name in names if "multinode" in name)
    packages = " ".join(name for name in names if name != tarball)
    pushed = " ".join(filter(None, [_git(root, "branch", "--show-current"), tag]))
    print(f"released {version} as {tag}: {' '.join(names)}")
    print(_UPLOADS.format(pushed=pushed, programs=artifacts.PROGRAMS, packages=packages, tarball=tarball))


def refuse(root: Path, version: str) -> None:
    """Exit with a reason if this version cannot be released from the current state of the repository."""
    if not _NUMBER.fullmatch(version):
        sys.exit(f"{version!r} is not a version such as 0.2.0")
    if _git(root, "status", "--porcelain"):
        sys.exit("the working tree has changes; commit or stash them first")
    if _git(root, "tag", "--list", f"v{version}"):
        sys.exit(f"the tag v{version} exists already; a released version does not change")
    (current,) = _LINE.findall((root / "galaxy.yml").read_text(encoding="utf-8"))
    if _order(version) < _order(current):
        sys.exit(f"{version} is older than {current}, which galaxy.yml has")
    others = {path.name.partition("-")[0] for path in (root / "changelogs/fragments").glob("*.yml")}
    if version not in others:
        sys.exit(f"no changelogs/fragments/{version}-*.yml says what has changed")
    if others != {version}:
        sys.exit(f"there are fragments of other versions: {', '.join(sorted(others - {version}))}")


def _order(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


@contextlib.contextmanager
def _tagged(root: Path, version: str, tag: str) -> Iterator[str]:
    """Commit and tag the release beside the branch, and undo both if a later step fails."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        _git(root, "worktree", "add", "--quiet", "--detach", str(tree))
        try:
            _write(tree, version)
            _git(tree, "add", "--all")
            _git(tree, "commit", "--quiet", "--message", f"Release {version}")
            _git(tree, "tag", "--annotate", tag, "--message", f"madctl {version}")
            try:
                yield _git(tree, "rev-parse", "HEAD")
            except BaseException:
                _git(root, "tag", "--delete", tag)
                raise
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _write(tree: Path, version: str) -> None:
    """Set the version, move the fragments into the changelog, and write the generated pages."""
    galaxy = tree / "galaxy.yml"
    before = galaxy.read_text(encoding="utf-8")
    galaxy.write_text(_LINE.sub(f"version: {version}", before), encoding="utf-8")
    (old,) = _LINE.findall(before)
    for name in _git(tree, "ls-files", *_NAMED).split("\n"):
        text = (tree / name).read_text(encoding="utf-8")
        (tree / name).write_text(renumbered(text, old, version), encoding="utf-8")
    _run(str(artifacts.PROGRAMS / "antsibull-changelog"), "release", "--version", version, cwd=tree)
    for program in sorted((tree / "docs").glob("*.py")):
        _run(sys.executable, str(program), cwd=tree)


def renumbered(text: str, old: str, new: str) -> str:
    """Return a text with a new version, and the one that may break promises after it, in place of the old ones."""
    numbers = {old: new, _breaking(old): _breaking(new)}
    known = "|".join(re.escape(number) for number in numbers)
    return re.sub(rf"(?<![\w.])(?:{known})(?!\.?\d)", lambda found: numbers[found[0]], text)


def _breaking(version: str) -> str:
    first, second, _ = _order(version)
    return f"{first + 1}.0.0" if first else f"0.{second + 1}.0"


def _build(root: Path, tag: str, directory: Path) -> list[Path]:
    """Build the artifacts from the files of a tag alone."""
    source = directory / "source"
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "-C", str(root), "archive", tag], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "--extract", "--directory", str(source)], check=True, input=archive)
    return artifacts.build(source, directory / "dist", artifacts.time_of(root, tag))


def _check(built: list[Path], again: list[Path]) -> None:
    """Exit if an index would not accept the artifacts, or if they differ from those of another build."""
    for one, other in zip(built, again):
        if one.read_bytes() != other.read_bytes():
            sys.exit(f"{one.name} differs if it is built twice")
    packages = [str(path) for path in built if "multinode" not in path.name]
    wheels = [name for name in packages if name.endswith(".whl")]
    _run(str(artifacts.PROGRAMS / "twine"), "check", "--strict", *packages)
    _run(str(artifacts.PROGRAMS / "check-wheel-contents"), *wheels, cwd=artifacts.ROOT)


def _git(repository: Path, *words: str) -> str:
    return _run("git", *words, cwd=repository).strip()


def _run(*argv: str, cwd: Path | None = None) -> str:
    """Return the output of a program; exit with it if the program fails."""
    variables = {**os.environ, "PYTHONPATH": "."}
    done = subprocess.run(argv, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{' '.join(argv)} failed with exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tools.release VERSION")
    release(Path.cwd(), sys.argv[1])
