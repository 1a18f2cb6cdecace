# SPDX-License-Identifier: Apache-2.0
"""Other versions of Python that this machine has, by their versions; nodes may have any from 3.8 on."""

import os
import shutil
import subprocess
from pathlib import Path

_VERSIONS = tuple(f"3.{minor}" for minor in range(8, 15))
_ROOT = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def _find(version):
    """Find one that starts: what stands on the search path may be a shim of one that was not chosen."""
    found = [shutil.which(f"python{version}"), *_ROOT.glob(f"versions/{version}.*/bin/python{version}")]
    for path in filter(None, map(str, filter(None, found))):
        asked = [path, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if subprocess.run(asked, capture_output=True, text=True).stdout.strip() == version:
            return path
    return None


PYTHONS = {version: path for version in _VERSIONS if (path := _find(version))}
