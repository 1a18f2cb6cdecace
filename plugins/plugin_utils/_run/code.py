# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the directory of ``sync``, which a launch or a check sends to all nodes before it inspects them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, command_line, events, manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import plain
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.sending import Sending
from ansible_collections.madctl.multinode.plugins.module_utils._sync import commit, reading

_NAMED = 3


class Code(NamedTuple):
    """The code of a launch: what is sent, where the job begins in it, and what is told of it."""

    tree: reading.Tree
    chdir: str
    about: dict[str, Any]
    diff: bytes

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a launch that has this code."""
        return {**given, "code": self.about, "chdir": self.chdir or None, "chdir_required": True}

    def sending(self, given: dict[str, Any], is_dry: bool) -> Callable[[Agents], Sending]:
        """Return what sends it, once there are agents."""
        return partial(Sending, tree=self.tree, run_dir=given["run_dir"], only_look=is_dry)

    @property
    def warnings(self) -> list[codes.Problem]:
        """What does not arrive."""
        left = self.tree.left_out
        if not left:
            return []
        names = ", ".join([*left[:_NAMED], *(["…"] if len(left) > _NAMED else [])])
        return [codes.problem("SYNC_LEFT_OUT", None, f"not sent, because only this machine can use it: {names}")]


def read(given: dict[str, Any]) -> Code | None:
    """
    Read the code of a launch; None where there is none to send.

    Args:
        given: The arguments of the launch.

    Raises:
        Refused: If it is not sent, or the job does not begin in it.
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


def tell(conductor: Conductor, code: Code, sending: Sending) -> None:
    """Tell what was sent, with the difference to its commit."""
    told = {"code": code.about, "nodes": len(sending.receivers), "sent": sending.sent}
    conductor.pass_on({"event": events.SYNCED, **told}, code.diff)


def _chdir(given: str | None) -> str:
    """Return the working directory below the code."""
    if given is None:
        return ""
    path = os.path.normpath(given)
    if os.path.isabs(path) or path.split("/")[0] == "..":
        message = f"the working directory {plain(given)} is not in the code that is sent"
        raise Refused("SYNC_REFUSED", message, "give a path below the directory of --sync, or leave it out")
    return "" if path == "." else path


def _require(tree: reading.Tree, chdir: str, given: dict[str, Any]) -> None:
    """Refuse work that begins with what is not sent; what is not in the directory may be on nodes."""
    place = plain(os.fsdecode(tree.root))
    if chdir and not tree.has(chdir):
        raise Refused("SYNC_REFUSED", f"the working directory {plain(chdir)} is not in {place}, or is ignored there")
    work, shape = given["work"], given["shape"]
    executed = command_line.program(work, shape)
    entries = (command_line.entry_script(work, shape), executed if executed and "/" in executed else None)
    for entry in map(unpack, filter(None, entries)):
        root = os.fsdecode(tree.root)
        if os.path.isabs(entry):
            below = os.path.relpath(os.path.realpath(entry), root)
            if below.split("/")[0] != "..":
                message = f"{plain(entry)} is a path of this machine; nodes run a copy of {place}"
                raise Refused("SYNC_REFUSED", message, f"write {plain(os.path.relpath(below, chdir or '.'))}")
        elif not tree.has(os.path.join(chdir, entry)):
            name = plain(os.path.normpath(os.path.join(chdir, entry)))
            there = os.path.lexists(os.path.join(root, chdir, entry))
            why = "is ignored there" if there else "does not exist"
            message = f"{plain(entry)} is not in the code that is sent: {name} in {place} {why}"
            remedy = "take it out of .gitignore or .madctlignore" if there else "give its path below the directory"
            raise Refused("SYNC_REFUSED", message, remedy)
