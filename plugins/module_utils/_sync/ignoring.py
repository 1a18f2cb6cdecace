# SPDX-License-Identifier: Apache-2.0
"""
Determine which files are not sent: by ``.gitignore`` and ``.madctlignore``, each for its directory and all below it.

``pathspec`` interprets git's patterns; only this file imports it, and only if there is such an ignore file. Private to
the collection.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, Dict, Optional, Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.manifest import text_of
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain, reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused

OURS, OF_GIT = ".madctlignore", ".gitignore"
_MOST_BYTES = 1 << 20


class Ignoring:
    """What the ignore files of one directory leave out; they are read only as far as needed."""

    def __init__(self, root: bytes, names: Sequence[str]) -> None:
        """
        Prepare.

        Args:
            names: Names of ignore files; patterns of the later ones win in the same directory.
        """
        self._root, self._names = root, names
        self._specs: Dict[bytes, Any] = {}
        self._ignored: Dict[bytes, bool] = {b"": False}

    def ignores(self, path: bytes, is_directory: bool) -> bool:
        """
        Return whether a path below the directory is left out, by itself or with a directory above it.

        Raises:
            Refused: If an ignore file cannot be read, or is invalid, or the library is missing.
        """
        parent = path.rpartition(b"/")[0]
        if parent not in self._ignored:
            self._ignored[parent] = self.ignores(parent, True)
        if self._ignored[parent]:
            return True
        found = self._decide(path + b"/" if is_directory else path)
        if is_directory:
            self._ignored[path] = found
        return found

    def _decide(self, path: bytes) -> bool:
        """Return what the patterns nearest to a path decide; if nothing, those of an upper directory count."""
        parts = path.rstrip(b"/").split(b"/")
        for depth in range(len(parts) - 1, -1, -1):
            spec = self._spec(b"/".join(parts[:depth]))
            if spec is None:
                continue
            below = path.split(b"/", depth)[depth]
            include = spec.check_file(text_of(below)).include
            if include is not None:
                return bool(include)
        return False

    def _spec(self, directory: bytes) -> Optional[Any]:
        if directory not in self._specs:
            lines = [line for name in self._names for line in self._lines(directory, name)]
            self._specs[directory] = self._parsed(directory, lines) if lines else None
        return self._specs[directory]

    def _lines(self, directory: bytes, name: str) -> Sequence[str]:
        path = os.path.join(self._root, directory, name.encode())
        try:
            # Reading a fifo would never end, and git does not follow links here either.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as stream:
                data = stream.read(_MOST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _unreadable(path, reason(error)) from error
        if len(data) > _MOST_BYTES:
            raise _unreadable(path, "it is longer than %d bytes" % _MOST_BYTES)
        return text_of(data).splitlines()

    def _parsed(self, directory: bytes, lines: Sequence[str]) -> Any:
        try:
            return library().GitIgnoreSpec.from_lines(lines)
        except ValueError as error:
            names = " or ".join(self._names)
            raise _unreadable(os.path.join(self._root, directory), "a pattern of %s: %s" % (names, error)) from error


def library() -> Any:
    """
    Return the ``pathspec`` package.

    Raises:
        Refused: If it is not installed.
    """
    try:
        return importlib.import_module("pathspec")
    except ImportError as error:
        message = "the Python package pathspec, which reads ignore files, is not installed"
        raise Refused("SYNC_UNREADABLE", message, "pip install 'pathspec>=0.12'") from error


def _unreadable(path: bytes, why: str) -> Refused:
    return Refused("SYNC_UNREADABLE", "%s: %s" % (plain(os.fsdecode(path)), why))
