# SPDX-License-Identifier: Apache-2.0
"""
Read the code that a launch sends to its nodes: its content, where the job begins in it, and its description.

Private to the collection.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, command_line, manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._sync import commit, reading

_NAMED = 3


class Code(NamedTuple):
    """The code of a launch: what is sent, where the job begins in it, and its description."""

    tree: reading.Tree
    chdir: str
    about: Dict[str, Any]
    diff: bytes

    def placed(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the arguments of a launch whose working directory is below this code."""
        return {**given, "chdir": self.chdir or None, "chdir_required": True}

    def arguments(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the arguments of a launch that sends this code."""
        return {**self.placed(given), "code": self.about}

    @property
    def told(self) -> Tuple[Dict[str, Any], bytes, List[codes.Problem]]:
        """Its description, its difference to its commit, and what will be missing on nodes."""
        return self.about, self.diff, self.warnings

    @property
    def warnings(self) -> List[codes.Problem]:
        """What will be missing on nodes."""
        left = self.tree.left_out
        if not left:
            return []
        names = ", ".join([*left[:_NAMED], *(["…"] if len(left) > _NAMED else [])])
        return [codes.problem("SYNC_LEFT_OUT", None, "not sent, because only this machine can use it: %s" % names)]


def read(given: Mapping[str, Any]) -> Optional[Code]:
    """
    Read the code of a launch; None if there is none to send.

    Args:
        given: The arguments of the launch.

    Raises:
        Refused: If it cannot be sent, or the job does not begin in it.
    """
    if not given.get("sync"):
        return None
    chdir = _chdir(given.get("chdir"))
    tree = reading.read(os.path.expanduser(given["sync"]))
    _require(tree, chdir, given)
    found = commit.of(tree.root)
    about = {
        "tree": tree.identity,
        "dir": manifest.text_of(tree.root),
        "files": sum(entry.kind == manifest.FILE for entry in tree.entries),
        "bytes": tree.size,
        "commit": found and found.commit,
        "branch": found and found.branch,
        "dirty": found and found.is_dirty,
    }
    return Code(tree, chdir, about, found.diff if found else b"")


def _chdir(given: Optional[str]) -> str:
    """Return the working directory below the code."""
    if given is None:
        return ""
    path = os.path.normpath(given)
    if os.path.isabs(path) or path.split("/")[0] == "..":
        message = "the working directory %s is not in the code that is sent" % plain(given)
        raise Refused("SYNC_REFUSED", message, "give a path below the directory of --sync, or leave it out")
    return "" if path == "." else path


def _require(tree: reading.Tree, chdir: str, given: Mapping[str, Any]) -> None:
    """Refuse work that begins with a file that is not sent; files that are not in the directory may be on nodes."""
    place = plain(os.fsdecode(tree.root))
    if chdir and not tree.has(chdir):
        raise Refused(
            "SYNC_REFUSED", "the working directory %s is not in %s, or is ignored there" % (plain(chdir), place)
        )
    work, shape = given["work"], given["shape"]
    executed = command_line.program(work, shape)
    entries = (command_line.entry_script(work, shape), executed if executed and "/" in executed else None)
    for entry in map(unpack, filter(None, entries)):
        root = os.fsdecode(tree.root)
        if os.path.isabs(entry):
            below = os.path.relpath(os.path.realpath(entry), root)
            if below.split("/")[0] != "..":
                message = "%s is a path of this machine; nodes run a copy of %s" % (plain(entry), place)
                raise Refused("SYNC_REFUSED", message, "write %s" % plain(os.path.relpath(below, chdir or ".")))
        elif not tree.has(os.path.join(chdir, entry)):
            name = plain(os.path.normpath(os.path.join(chdir, entry)))
            there = os.path.lexists(os.path.join(root, chdir, entry))
            why = "is ignored there" if there else "does not exist"
            message = "%s is not in the code that is sent: %s in %s %s" % (plain(entry), name, place, why)
            remedy = "take it out of .gitignore or .madctlignore" if there else "give its path below the directory"
            raise Refused("SYNC_REFUSED", message, remedy)
