# SPDX-License-Identifier: Apache-2.0
"""Build the tree of code that was sent to a pod, whose parts are files in it. Private to the collection."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, Mapping

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._job.site import SiteError
from ansible_collections.madctl.multinode.plugins.module_utils._sync import storing


def base() -> str:
    """Return the directory that keeps the tree; it is not that of runs, which may have files from the image."""
    return run_directory.base(os.geteuid()) + "-code"


def unpack(code: Mapping[str, Any], directory: str = pods.CODE) -> None:
    """
    Store the tree, which this process reads from its standard input.

    Raises:
        SiteError: If that fails.
    """
    before = os.dup(0)
    try:
        with tempfile.TemporaryFile() as whole:
            for name in sorted(name for name in os.listdir(directory) if not name.startswith(".")):
                with open(os.path.join(directory, name), "rb") as part:
                    shutil.copyfileobj(part, whole)
            whole.seek(0)
            os.dup2(whole.fileno(), 0)
        found = storing.store({"tree": code["tree"], "run_dir": base(), "only_look": False}, lambda _: None)
    except OSError as error:
        found = {"failed": True, "msg": reason(error, is_named=True)}
    finally:
        os.dup2(before, 0)
        os.close(before)
    if found.get("failed"):
        raise SiteError("the code cannot be unpacked: %s" % found["msg"])
