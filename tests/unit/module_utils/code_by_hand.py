# SPDX-License-Identifier: Apache-2.0
"""Directories of code, with git and without."""

import subprocess


def write(place, *names, text=""):
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run_git(place, *words):
    own = ("-c", "user.name=x", "-c", "user.email=x@y", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *own, *words], cwd=place, check=True, capture_output=True)


def commit(place):
    run_git(place, "init", "-q")
    run_git(place, "add", "-A")
    run_git(place, "commit", "-q", "--allow-empty", "-m", "one")
