# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a node that is this machine."""

from __future__ import annotations

import socket
import subprocess

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes import unix_sockets, way


class Local(way.Way):
    """Child processes, and sockets of this machine."""

    def start(self, command: str, run_dir: str | None = None) -> subprocess.Popen[bytes]:
        """Start a command on the node, its standard streams on pipes."""
        del run_dir
        return way.popen(["/bin/sh", "-c", command])

    def channel(self, run_dir: str) -> socket.socket:
        """Open a channel to the supervisor of a run."""
        return unix_sockets.connect("%s/%s" % (run_dir, run_directory.CONTROL_SOCKET))

    @staticmethod
    def hint(host: str) -> str:
        """Say how to look at a host by hand."""
        del host
        return "it is this machine"
