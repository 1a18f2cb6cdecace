# SPDX-License-Identifier: Apache-2.0
"""
Another version of Slurm beside the installed one: that of Debian 13, unpacked below a cache directory.

Its programs are made to use their own libraries, wherever they run, so they need no root directory of their own, and
what jobs start is the machine's.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CACHE = Path("/var/cache/madctl-tests/slurm-trixie")
ROOT, LISTS = CACHE / "root", CACHE / "apt"
LIBRARIES = ROOT / "usr/lib/x86_64-linux-gnu"
PLUGINS = LIBRARIES / "slurm-wlm"
BIN = CACHE / "bin"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCE = f"deb [signed-by={KEYRING}] http://deb.debian.org/debian trixie main\n"
PACKAGES = ("slurmctld", "slurmd", "slurm-client")
MOST_BYTES = 200 << 20
CLIENTS = ("sacct", "salloc", "sbatch", "scancel", "scontrol", "sdiag", "sinfo", "squeue", "srun")
DAEMONS = ("slurmctld", "slurmd", "slurmstepd")
# The path to slurmstepd is compiled into slurmd. Daemons go by their names: as slurmd-wlm it would not be one.
SLURMD = '#!/bin/sh\nexec {daemons}/slurmd -d {daemons}/slurmstepd "$@"\n'
SECONDS = 300


class UnavailableError(Exception):
    """It cannot be had here."""


def programs():
    """
    Return the directory of its programs, made if this is the first time.

    Raises:
        UnavailableError: If it cannot be downloaded.
    """
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    # Another run of the tests may be at it.
    with open(CACHE.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (CACHE / "complete").exists():
            _make()
    return BIN


@contextlib.contextmanager
def chosen():
    """Have commands and jobs use it; return what a lab needs to start it, or skip the test, with the reason."""
    try:
        found = programs()
    except UnavailableError as error:
        pytest.skip(f"NOT TESTED: Slurm of Debian 13 cannot be had: {error}")
    before = os.environ["PATH"]
    # A job inherits it, so that its own programs are of that version, too.
    os.environ["PATH"] = f"{found}:{before}"
    try:
        yield {"more": [f"PluginDir={PLUGINS}"], "path": os.environ["PATH"]}
    finally:
        os.environ["PATH"] = before


def _make():
    missing = [name for name in ("apt-get", "dpkg-deb", "patchelf") if shutil.which(name) is None]
    if missing:
        raise UnavailableError(f"not installed: {' '.join(missing)}")
    shutil.rmtree(CACHE, ignore_errors=True)
    _unpack(_download())
    _adapt()
    (CACHE / "complete").touch()
    shutil.rmtree(LISTS)


def _apt(*words):
    own = {
        "Dir::Etc::sourcelist": LISTS / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::State::lists": LISTS / "lists",
        "Dir::State::status": LISTS / "status",
        "Dir::Cache::archives": LISTS / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "APT::Sandbox::User": "root",
        "APT::Architecture": "amd64",
        "APT::Install-Recommends": "false",
        "Acquire::http::Timeout": 20,
        "Acquire::Retries": 1,
        "Acquire::Languages": "none",
    }
    options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]
    argv = ["apt-get", "-q", "-y", *options, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise UnavailableError(f"apt-get {words[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _download():
    for name in ("lists/partial", "archives/partial"):
        (LISTS / name).mkdir(parents=True)
    (LISTS / "status").touch()
    (LISTS / "sources.list").write_text(SOURCE)
    _apt("update")
    wanted = ("--download-only", "install", *PACKAGES)
    size = sum(int(found) for found in re.findall(r"^'http\S+ \S+ (\d+) ", _apt("--print-uris", *wanted), re.M))
    if not 0 < size < MOST_BYTES:
        raise UnavailableError(f"{size >> 20} MiB of packages were expected to be less than {MOST_BYTES >> 20}")
    _apt(*wanted)
    return sorted((LISTS / "archives").glob("*.deb"))


def _unpack(archives):
    ROOT.mkdir()
    for archive in archives:
        subprocess.run(["dpkg-deb", "--extract", archive, ROOT], check=True, timeout=SECONDS)


def _adapt():
    """Have each program use its own interpreter and libraries."""
    daemons = ROOT / "usr/sbin"
    found = [ROOT / "usr/bin" / name for name in CLIENTS] + [daemons / f"{name}-wlm" for name in DAEMONS]
    words = ["--set-interpreter", LIBRARIES / "ld-linux-x86-64.so.2"]
    # Inherited by what a program loads, unlike what is set without the first word.
    words += ["--force-rpath", "--set-rpath", f"{LIBRARIES}:{PLUGINS}"]
    for program in found:
        subprocess.run(["patchelf", *words, program.resolve()], check=True, timeout=SECONDS)
    BIN.mkdir()
    for name in CLIENTS:
        (BIN / name).symlink_to(ROOT / "usr/bin" / name)
    for name in DAEMONS:
        (daemons / f"{name}-wlm").rename(daemons / name)
    (BIN / "slurmctld").symlink_to(daemons / "slurmctld")
    (BIN / "slurmd").write_text(SLURMD.format(daemons=daemons))
    (BIN / "slurmd").chmod(0o755)
