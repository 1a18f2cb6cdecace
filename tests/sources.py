# SPDX-License-Identifier: Apache-2.0
"""The sources of this checkout as they are now, as a repository of their own, which tests may change."""

import os
import shutil
import subprocess
from pathlib import Path

import pathspec

ROOT = Path(__file__).parents[1]


def names():
    """Return the names of all files that belong to the project, also those that are not committed yet."""
    ignored = pathspec.GitIgnoreSpec.from_lines([".git", *(ROOT / ".gitignore").read_text().splitlines()])
    found = []
    for place, directories, files in os.walk(ROOT):
        own = Path(place).relative_to(ROOT)
        directories[:] = [name for name in directories if not ignored.match_file(f"{own / name}/")]
        found += [str(own / name) for name in files if not ignored.match_file(str(own / name))]
    return sorted(found)


def copy(directory, order=sorted):
    """Copy them; a directory lists its files in the order in which they came, on some file systems."""
    for name in order(names()):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    return directory


def commit(directory, message="Begin"):
    """Commit all files of a directory, on the branch main of its own repository."""
    git = ["git", "-C", str(directory), "-c", "init.defaultBranch=main"]
    # Git refuses to commit without a name, and there may be none.
    named = (["config", "user.name", "Tester"], ["config", "user.email", "tester@example.org"])
    for words in (["init", "-q"], *named, ["add", "--all"], ["commit", "-q", "--message", message]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return directory
