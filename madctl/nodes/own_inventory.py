# SPDX-License-Identifier: Apache-2.0
"""The hosts in a user's own Ansible inventories, as Ansible itself reads them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import clause
from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from madctl.ansible_settings import environment
from madctl.errors import refused
from madctl.screen.lines import one_line

# Of all the plugins that tried to parse it, the first gives the best message.
_PARSING = re.compile(r"Failed to parse .*? plugin: (.+)")
_LEVEL = re.compile(r"^\s*\[?(?:ERROR|WARNING)\]?[:!]\s*")


def hosts(sources: Sequence[str], limit: str | None) -> list[str]:
    """
    List the hosts of a user's own inventory, in its order.

    Raises:
        UsageError: If Ansible cannot read it or nothing matches.
    """
    argv = ["ansible", "--list-hosts", *(f"--inventory={source}" for source in sources), "--", limit or "all"]
    done = subprocess.run(
        argv,
        env={**os.environ, **environment(), **strict(sources)},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )
    names = [line.strip() for line in done.stdout.splitlines()[1:] if line.strip()]
    if done.returncode or not names:
        raise refused("INVENTORY_EMPTY", f"inventory {', '.join(sources)}: {_cause(done.stderr, sources)}")
    wrong = [name for name in names if not hostlist.is_name(name)]
    # A name that contains a newline looks like two; Ansible prints the number of hosts.
    if wrong or f"({len(names)})" not in done.stdout.partition("\n")[0]:
        raise refused("HOST_INVALID", f"{wrong[0] if wrong else names!r} of the inventory is not a valid host name")
    return names


def located(source: str) -> str:
    """Return the absolute path of an inventory; a list of hosts stays as it is."""
    return os.path.abspath(source) if os.path.exists(source) or "," not in source else source


def _cause(said: str, sources: Sequence[str]) -> str:
    """Return Ansible's error message as one sentence, without the file name, which our message already has."""
    lines = said.strip().splitlines() or ["no host matches"]
    found = _PARSING.search(said)
    text = found[1] if found else next((line for line in lines if "ERROR" in line), lines[-1])
    text = _LEVEL.sub("", one_line(text)).rstrip(".")
    for source in sources:
        text = text.removeprefix(f"{source}: ")
    return clause(text)


def strict(sources: Sequence[str]) -> dict[str, str]:
    """
    Return the settings that make Ansible fail if an inventory cannot be read.

    Otherwise it continues with the rest, and may reach another machine of the same name. A directory may contain files
    that are not inventories.
    """
    has_directory = any(os.path.isdir(source) for source in sources)
    return {} if has_directory else {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True"}
