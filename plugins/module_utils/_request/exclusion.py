# SPDX-License-Identifier: Apache-2.0
"""
Leave hosts out of a list, whatever its source: ``--exclude``, and ``exclude`` of the inventory plugin.

A list of hosts to leave out may be kept for a long time, so a host that is not listed is not an error, unless it is
another spelling of one that is. Pure; private to the collection.
"""

from __future__ import annotations

import re
from typing import Dict, Iterable, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Groups, HostsError

_PADDED = re.compile(r"0+(?=\d)")


class Remaining(NamedTuple):
    """The hosts that are left, in their order, and how many were left out."""

    names: List[str]
    left_out: int


def remaining(listed: Iterable[str], texts: Iterable[str], groups: Optional[Groups] = None) -> Remaining:
    """
    Leave out the hosts of some lists.

    Args:
        listed: Names of hosts.
        texts: Lists as in ``--hosts``, without users and ports.
        groups: As in ``hostlist.from_list``.

    Raises:
        HostsError: If a list is invalid, if a name differs from that of a host only in padding, case or domain, or if
            no host is left.
    """
    names = list(listed)
    wanted = dict.fromkeys(
        name for text in texts for part in hostlist.split(text, text) for name in hostlist.left_out(part, text, groups)
    )
    alike: Dict[str, str] = {_simple(name): name for name in names}
    known = set(names)
    for name in wanted:
        if name not in known and _simple(name) in alike:
            message = "%s is to be excluded, but is not in the list" % name
            raise HostsError("EXCLUDE_UNKNOWN", message, "did you mean %s?" % alike[_simple(name)])
    left = [name for name in names if name not in wanted]
    if not left:
        raise HostsError("HOSTS_EMPTY", "every host is excluded", "exclude fewer")
    return Remaining(left, len(names) - len(left))


def _simple(name: str) -> str:
    """Return what names of one host have in common, however people write it."""
    host = name if ":" in name or name.replace(".", "").isdigit() else name.partition(".")[0]
    return _PADDED.sub("", host.lower())
