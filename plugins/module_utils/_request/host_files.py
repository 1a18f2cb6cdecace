# SPDX-License-Identifier: Apache-2.0
"""
Parse host files as people and schedulers write them, with the names and ranges of ``hostlist``.

Pure; private to the collection.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Dict, Iterable, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host, HostsError
from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import MAX_HOSTS, MAX_SLOTS, number

_QUEUE = re.compile(r"[^@]+@[^@]+")


def from_lines(text: str, path: str) -> List[Host]:
    """
    Parse a host file: one ``name``, ``name slots=N`` or ``name:N`` per line; ``#`` begins a comment.

    What schedulers write is a host file, too: a name alone that comes again is one more slot, as in those of PBS and
    LSF, and SGE's lines are ``name N queue@name processors``.

    Raises:
        HostsError: If a line is invalid.
    """
    lines = enumerate(text.lstrip("\ufeff").splitlines(), start=1)
    found = ((_file_words(line), "%s:%d" % (path, number)) for number, line in lines)
    entries = (entry for words, where in found if words for entry in _line(words, where))
    return hostlist.checked(_counted(entries), path)


def from_pairs(text: str, variable: str) -> List[Host]:
    """
    Parse ``name N name N``, as LSF writes its hosts and slots into a variable.

    Raises:
        HostsError: If it is something else.
    """
    words = text.split()
    names, counts = words[::2], [_slots(word, variable) for word in words[1::2]]
    if len(names) != len(counts):
        raise _malformed(variable, "a slot count is missing")
    entries = ((Host(name), count) for name, count in zip(names, counts))
    return hostlist.checked(_counted(entries), variable)


def without_launcher(hosts: List[Host]) -> List[Host]:
    """Leave out the host that LSF may list for the launch alone: the first, with 1 slot where all others have N."""
    others = {host.slots for host in hosts[1:]}
    only_launches = hosts[0].slots == 1 and len(others) == 1 and 1 not in others
    return hosts[1:] if only_launches else hosts


def _file_words(line: str) -> List[str]:
    """Split a line at blanks, except those around ``=``, and drop a comment."""
    return "=".join(part.strip() for part in line.partition("#")[0].split("=")).split()


_Entry = Tuple[Host, Optional[int]]  # What a line names, and how much it counts unless it says the slots itself


def _line(words: List[str], where: str) -> List[_Entry]:
    hostlist.refuse_at(words[0])
    count: Optional[int] = 1
    if len(words) in (3, 4) and _QUEUE.fullmatch(words[2]):
        name, slots, count = words[0], None, _slots(words[1], where)
    else:
        name, slots = _slots_of(words, where)
        count = count if slots is None else None
    return [
        (replace(host, slots=slots), count)
        for part in hostlist.split(name, where)
        for host in hostlist.expand(part, None)
    ]


def _counted(entries: Iterable[_Entry]) -> List[Host]:
    """Count repeated names as slots; if every name occurs once, that says nothing about slots."""
    hosts: Dict[str, Host] = {}
    counts: Dict[str, int] = {}
    for host, count in entries:
        if host.name in hosts and (count is None or host.name not in counts):
            raise hostlist.twice(host.name)
        hosts.setdefault(host.name, host)
        if count is not None:
            counts[host.name] = counts.get(host.name, 0) + count
        if len(hosts) > MAX_HOSTS:
            raise HostsError("HOSTS_MALFORMED", "more than %d hosts" % MAX_HOSTS)
        if counts.get(host.name, 0) > MAX_SLOTS:
            raise _malformed(host.name, "more than %d slots" % MAX_SLOTS)
    if all(count == 1 for count in counts.values()):
        counts = {}
    return [replace(host, slots=counts.get(name, host.slots)) for name, host in hosts.items()]


def _slots_of(words: List[str], where: str) -> Tuple[str, Optional[int]]:
    """
    Parse a line of a host file: its name, perhaps a range, and its slots, if any.

    Raises:
        HostsError: If a word is invalid.
    """
    given: Dict[str, int] = {}
    for word in words[1:]:
        key, _, value = word.replace("max-slots", "max_slots").partition("=")
        if key not in ("slots", "max_slots") or key in given:
            raise _malformed(where, "%r is unknown" % word)
        given[key] = _slots(value, where)
    name, after = hostlist.colon(words[0])
    if after is not None:
        if "slots" in given:
            raise _malformed(where, "two slot counts")
        given["slots"] = _slots_not_port(after, where)
    if given.get("slots", 1) > given.get("max_slots", MAX_SLOTS):
        raise _malformed(where, "more slots than max_slots")
    return name, given.get("slots")


def _slots(text: str, where: str) -> int:
    count: Optional[int] = number(text, 1, MAX_SLOTS)
    if count is None:
        raise _malformed(where, "%r is not a number of slots" % text)
    return count


def _slots_not_port(text: str, where: str) -> int:
    count: Optional[int] = number(text, 1, 65535)
    if count is not None and (count == hostlist.SSH_PORT or count > hostlist.MANY_SLOTS):
        remedy = "a port is user@host:port in --hosts, or Port in your ssh configuration; slots are name slots=N"
        raise _malformed(where, ":%d reads like an SSH port" % count, remedy)
    return _slots(text, where)


def _malformed(where: str, reason: str, remedy: str = "name slots=N") -> HostsError:
    return HostsError("HOSTFILE_MALFORMED", "%s: %s" % (where, reason), remedy)
