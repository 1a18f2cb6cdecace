# SPDX-License-Identifier: Apache-2.0
"""The sources of this checkout as they are now, as a repository of their own, which tests may change."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def names():
    """Return the names of all files that belong to the project, also those that are not committed yet."""
    argv = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(name for name in listed if name and (ROOT / name).is_file())


def copy(directory, order=sorted):
    """Copy them; a directory lists its files in the order in which they came, on some file systems."""
    for name in order(names()):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    return directory


def commit(directory, message="Begin"):
    """Commit all files of a directory, on the branch main of its own repository."""
    git = ["git", "-C", str(directory), "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "--message", message]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return directory
