# SPDX-License-Identifier: Apache-2.0
"""Files of raw output on a node. Delivered beside the supervisor; private to the collection."""

from __future__ import annotations

import os

CHUNK = 1 << 16  # bytes at a time


class Log:
    """One append-only file of raw output; a full disk costs lines, never the job."""

    def __init__(self, directory: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(directory, name)
        self.size = 0
        self.lost = 0
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._reader = os.open(self.path, os.O_RDONLY)

    def append(self, data: bytes) -> None:
        """Write what fits."""
        try:
            written = os.write(self._file, data)
        except OSError:
            written = 0
        self.size += written
        self.lost += len(data) - written

    def read(self, offset: int) -> bytes:
        """Read back from a byte offset."""
        return os.pread(self._reader, CHUNK, offset)
