# SPDX-License-Identifier: Apache-2.0
"""
Build the wheel, the sdist and the collection's tarball: ``python -m tools.artifacts DIRECTORY``.

With the same build tools, the same sources give the same bytes at any time: timestamps are those of the last commit,
or of ``SOURCE_DATE_EPOCH``.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent


def build(source: Path, directory: Path, epoch: int) -> list[Path]:
    """Build all three from a source directory, the wheel from the sdist, and return their paths."""
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary)
        _quietly([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)], epoch)
        collection = built / "collection"
        galaxy = str(PROGRAMS / "ansible-galaxy")
        _quietly([galaxy, "collection", "build", "--output-path", str(collection), str(source)], epoch)
        contents = {path.name: path.read_bytes() for path in built.iterdir() if path.is_file()}
        contents |= {path.name: _reproducible(path.read_bytes(), epoch) for path in collection.iterdir()}
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in sorted(contents)]


def time_of(repository: Path, commit: str) -> int:
    """Return when a commit was made."""
    argv = ["git", "-C", str(repository), "log", "-1", "--format=%ct", commit]
    return int(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)


def _quietly(argv: list[str], epoch: int) -> None:
    """Run a program that prints only if it fails."""
    variables = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(argv, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{Path(argv[0]).name} failed with exit code {done.returncode}")


def _reproducible(tarball: bytes, epoch: int) -> bytes:
    """Sort the files of a tarball of ansible-galaxy, and set their times: it takes both as the disk has them."""
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        members = {member.name: member for member in archive}
        files = {name: file.read() for name in members if (file := archive.extractfile(name))}
    listing, manifest = json.loads(files["FILES.json"]), json.loads(files["MANIFEST.json"])
    listing["files"].sort(key=lambda entry: entry["name"])
    files["FILES.json"] = json.dumps(listing, indent=1).encode()
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(files["FILES.json"]).hexdigest()
    files["MANIFEST.json"] = json.dumps(manifest, indent=1).encode()
    packed = io.BytesIO()
    compressed = gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=epoch)
    with compressed, tarfile.open(fileobj=compressed, mode="w") as archive:
        # Galaxy writes these two first, too, so that a reader can identify the tarball without unpacking it.
        for name in sorted(members, key=lambda name: (name not in ("MANIFEST.json", "FILES.json"), name)):
            member, content = members[name], files.get(name, b"")
            # PAX headers repeat the time, to the nanosecond.
            member.mtime, member.size, member.pax_headers = epoch, len(content), {}
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


if __name__ == "__main__":
    for path in build(ROOT, Path(sys.argv[1]), int(os.environ.get("SOURCE_DATE_EPOCH") or time_of(ROOT, "HEAD"))):
        print(path)
