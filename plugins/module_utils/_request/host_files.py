# SPDX-License-Identifier: Apache-2.0
"""
Parse host files as people and schedulers write them, with the names and ranges of ``hostlist``.

Pure; private to the collection.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Dict, Iterable, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._request import hostlist, kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.hostlist import Host, HostsError
from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import MAX_HOSTS, MAX_SLOTS, number
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import OWN_OF_HOSTS, Row

_ENV = "env."
_KEYS = ("slots", "max_slots", "python", "interface")
_REMEDY = "name slots=N python=PATH interface=NAME env.NAME=VALUE"
_QUEUE = re.compile(r"[^@]+@[^@]+")


def from_lines(text: str, path: str) -> List[Host]:
    """
    Parse a host file: one ``name``, ``name slots=N`` or ``name:N`` per line; ``#`` begins a comment.

    After the name, ``python=PATH``, ``interface=NAME`` and ``env.NAME=VALUE`` are for this host alone.

    Schedulers' host files are accepted, too: each repetition of a bare name is one more slot, as in those of PBS and
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
    Parse ``name N name N``, the form in which LSF writes its hosts and slots into a variable.

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
    """Leave out the host that LSF may list only for the launch: the first, with 1 slot while all others have N."""
    others = {host.slots for host in hosts[1:]}
    only_launches = hosts[0].slots == 1 and len(others) == 1 and 1 not in others
    return hosts[1:] if only_launches else hosts


def _file_words(line: str) -> List[str]:
    """Split a line at blanks, except those around ``=``, and drop a comment."""
    return "=".join(part.strip() for part in line.partition("#")[0].split("=")).split()


_Entry = Tuple[Host, Optional[int]]  # The names on a line, and the slots it counts for unless it sets them itself


def _line(words: List[str], where: str) -> List[_Entry]:
    hostlist.refuse_at(words[0])
    if len(words) in (3, 4) and _QUEUE.fullmatch(words[2]):
        name, given, count = words[0], Host(""), _slots(words[1], where)
    else:
        name, given = _settings(words, where)
        count = 1
    return [
        (replace(given, name=host.name), count if given.slots is None else None)
        for part in hostlist.split(name, where)
        for host in hostlist.expand(part, None)
    ]


def _counted(entries: Iterable[_Entry]) -> List[Host]:
    """Count repeated names as slots; if every name occurs once, the file does not set slots."""
    hosts: Dict[str, Host] = {}
    counts: Dict[str, int] = {}
    for host, count in entries:
        known = hosts.get(host.name)
        if known and (count is None or host.name not in counts or known != host):
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


def _settings(words: List[str], where: str) -> Tuple[str, Host]:
    """
    Parse a line of a host file: its name, perhaps a range, and its settings, as a host without a name.

    Raises:
        HostsError: If a word is invalid.
    """
    given: Dict[str, str] = {}
    for word in words[1:]:
        key, equals, value = word.replace("max-slots", "max_slots", 1).partition("=")
        if not equals or not (key in _KEYS or key.startswith(_ENV)):
            raise _malformed(where, "%r is unknown" % key, kinds.meant(key, _KEYS, "%s=") or _REMEDY)
        if key in given:
            raise _malformed(where, "%s is given twice" % key)
        given[key] = value
    name, after = hostlist.colon(words[0])
    if after is not None:
        if "slots" in given:
            raise _malformed(where, "two slot counts")
        given["slots"] = str(_slots_not_port(after, where))
    counts = {key: _slots(given[key], where) for key in ("slots", "max_slots") if key in given}
    if counts.get("slots", 1) > counts.get("max_slots", MAX_SLOTS):
        raise _malformed(where, "more slots than max_slots")
    env = tuple((key[len(_ENV) :], given[key]) for key in given if key.startswith(_ENV))
    own = {row.name: _own(row, given[row.name], where) for row in OWN_OF_HOSTS if row.name in given}
    return name, Host("", slots=counts.get("slots"), env=_environment(env, where), **own)


def _own(row: Row, value: str, where: str) -> Any:
    _refuse_quote(row.name, value, where)
    try:
        found = row.parse(value)
    except kinds.UnfitError as error:
        raise _malformed(where, row.kind.refusal(row.name, value), "%s=VALUE" % row.name) from error
    if not found:
        raise _malformed(where, "%s has no value" % row.name, "%s=VALUE" % row.name)
    return found


def _environment(given: Tuple[Tuple[str, str], ...], where: str) -> Tuple[Tuple[str, str], ...]:
    """Return the variables of a line; messages show no value, as it may be a secret."""
    for name, value in given:
        if not name.isidentifier():
            raise _malformed(where, "env.NAME takes the name of a variable, not %r" % name, "env.NAME=VALUE")
        _refuse_quote(_ENV + name, value, where)
    return given


def _refuse_quote(key: str, value: str, where: str) -> None:
    """Refuse a value that is quoted as if a shell read it."""
    if value[:1] in ("'", '"'):
        raise _malformed(where, "the value of %s begins with a quote" % key, "write it without; it cannot have blanks")


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


def _malformed(where: str, reason: str, remedy: str = _REMEDY) -> HostsError:
    return HostsError("HOSTFILE_MALFORMED", "%s: %s" % (where, reason), remedy)
