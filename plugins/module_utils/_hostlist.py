# SPDX-License-Identifier: Apache-2.0
"""
Read host lists as people write them, with nothing but the standard library. Order given is rank order.

madctl's ``--hosts`` and ``--hostfile``, and the inventory plugin, read their lists here. What ``@group`` means only
madctl knows; groups are those of the inventory elsewhere. Pure; private to the collection.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from dataclasses import dataclass, replace
from typing import Callable, Iterable, Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _codes
from ansible_collections.madctl.multinode.plugins.module_utils._number import number

MAX_HOSTS = 4096
MAX_SLOTS = 4096
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
GROUP = re.compile(r"[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}")
_LITERAL = re.compile(r"\[([0-9A-Fa-f:.%]+:[0-9A-Fa-f:.%]*)\](?::(.*))?")
_RANGE = re.compile(r" *([0-9]{1,18}) *(?:- *([0-9]{1,18}) *)?(?:/([0-9]{1,18}) *)?")
_LIKE = "write it like gpu[01-16]"


class HostsError(ValueError):
    """A list that cannot be meant; ``problem`` says why."""

    def __init__(self, code: str, message: str, remedy: Optional[str] = None, host: Optional[str] = None) -> None:
        self.problem = _codes.problem(code, host, message, remedy)
        super().__init__(_codes.line(self.problem))


@dataclass(frozen=True)
class Host:
    """One node as the list names it."""

    name: str
    user: Optional[str] = None
    port: Optional[int] = None
    slots: Optional[int] = None


Groups = Callable[[str], List[str]]


def from_list(text: str, groups: Optional[Groups] = None) -> List[Host]:
    """
    Read ``gpu[01-16]``, ``a,b,c``, ``gpu[1-8/2]``, ``@group``, ``user@host:port`` and IPv6 literals.

    Args:
        groups: Lists the nodes of a group, or raises ValueError; without it there are no groups.

    Raises:
        HostsError: If a part is empty, malformed, hostile or repeated.
    """
    return checked((host for part in split(text, text) for host in _expand(part, groups)), text)


def from_scheduler(text: str) -> List[Host]:
    """
    Read names and ranges as a scheduler writes them, without users and groups, which only a person may name.

    Raises:
        HostsError: As ``from_list`` does, and for every ``@``.
    """
    _without_at(text)
    return from_list(text)


def from_lines(text: str, path: str) -> List[Host]:
    """
    Read a host file: one ``name``, ``name slots=N`` or ``name:N`` a line; ``#`` begins a comment.

    Raises:
        HostsError: If a line cannot be meant.
    """
    lines = enumerate(text.splitlines(), start=1)
    words = ((line.partition("#")[0].split(), "%s:%d" % (path, number)) for number, line in lines)
    return checked((host for some, where in words if some for host in _line(some, where)), path)


def is_name(text: str) -> bool:
    """Tell whether a text can be the name or the address of a host, and nothing else."""
    return bool(NAME.fullmatch(text)) or _is_ipv6(text)


def checked(hosts: Iterable[Host], source: str) -> List[Host]:
    """
    Give a list back that names at least one host, and none twice.

    Raises:
        HostsError: If it does not.
    """
    found, seen = [], set()
    for host in hosts:
        if not is_name(host.name):
            raise hostile(host.name)
        if host.name in seen:
            raise HostsError("HOST_DUPLICATE", "the host is named twice", "name every node once", host.name)
        seen.add(host.name)
        found.append(host)
        if len(found) > MAX_HOSTS:
            raise HostsError("HOSTS_MALFORMED", "more than %d hosts" % MAX_HOSTS)
    if not found:
        raise HostsError("HOSTS_EMPTY", "no host in %r" % source, "name some: gpu[01-16]")
    return found


def _line(words: List[str], where: str) -> List[Host]:
    _without_at(words[0])
    name, slots = _slots_of(words, where)
    return [replace(host, slots=slots) for part in split(name, where) for host in _expand(part, None)]


def _without_at(text: str) -> None:
    if "@" in text:
        raise HostsError("HOST_INVALID", "%r cannot be a host" % text, "users and groups are for --hosts alone")


def _is_ipv6(text: str) -> bool:
    address, percent, zone = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return False
    return not percent or bool(_ZONE.fullmatch(zone))


def _slots_of(words: List[str], where: str) -> Tuple[str, Optional[int]]:
    """
    Read a line of a host file: its name, perhaps a range, and the slots where it says any.

    Raises:
        HostsError: If a word cannot be meant.
    """
    name, slots = words[0], None
    for word in words[1:]:
        key, _, value = word.partition("=")
        if key == "slots":
            slots = value
        elif key != "max_slots":
            raise HostsError("HOSTFILE_MALFORMED", "%s: %r is not understood" % (where, word), "name slots=N")
    if slots is None and name.count(":") == 1:
        name, _, slots = name.partition(":")
    count = None if slots is None else number(slots, 1, MAX_SLOTS)
    if slots is not None and count is None:
        raise HostsError("HOSTFILE_MALFORMED", "%s: %r is not a number of slots" % (where, slots), "name slots=N")
    return name, count


def split(text: str, whole: str) -> List[str]:
    """
    Split at the commas that are outside of brackets.

    Raises:
        HostsError: If brackets do not match or a part is empty; ``whole`` is what it names.
    """
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character == "[") - (character == "]")
        if depth not in (0, 1):
            raise _malformed(whole, "brackets do not match")
        if character == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += character
    if depth:
        raise _malformed(whole, "brackets do not match")
    parts = [part.strip() for part in [*parts, current]]
    if not any(parts):
        raise HostsError("HOSTS_EMPTY", "the host list is empty", "name some: gpu[01-16]")
    if not all(parts):
        raise _malformed(whole, "a name between two commas is missing")
    return parts


def _malformed(text: str, reason: str) -> HostsError:
    return HostsError("HOSTS_MALFORMED", "host list %r: %s" % (text, reason), _LIKE)


def hostile(text: str) -> HostsError:
    """Say that a text cannot be a host."""
    remedy = "use letters, digits, '.', '-' and '_', not '-' first"
    return HostsError("HOST_INVALID", "%r cannot be a host" % text, remedy)


def _expand(part: str, groups: Optional[Groups]) -> List[Host]:
    if part.startswith("@"):
        return [Host(name) for name in _group(part, groups)]
    user, at, rest = part.rpartition("@")
    if at and not NAME.fullmatch(user):
        raise hostile(part)
    rest, port = _port(rest, part)
    if _is_ipv6(rest):
        return [Host(rest, user or None, port)]
    return [Host(name, user or None, port) for name in _names(rest)]


def _group(part: str, groups: Optional[Groups]) -> List[str]:
    if not GROUP.fullmatch(part[1:]):
        raise hostile(part)
    if groups is None:
        raise _malformed(part, "groups are the inventory's own here")
    try:
        names = groups(part)
    except ValueError as error:
        raise _malformed(part, str(error)) from error
    if not names:
        raise HostsError("HOSTS_EMPTY", "%s names no host" % part)
    return names


def _port(text: str, part: str) -> Tuple[str, Optional[int]]:
    literal = _LITERAL.fullmatch(text)
    if literal:
        return literal.group(1), None if literal.group(2) is None else _port_number(literal.group(2), part)
    name, colon, port = text.rpartition(":")
    if colon and ":" not in name:
        return name, _port_number(port, part)
    return text, None


def _port_number(text: str, part: str) -> int:
    port: Optional[int] = number(text, 1, 65535)
    if port is None:
        raise _malformed(part, "%r is not a port" % text)
    return port


def _names(text: str) -> List[str]:
    """Expand every pair of brackets, the last one fastest."""
    if not text:
        raise HostsError("HOSTS_EMPTY", "%r names no host" % text)
    outside = re.sub(r"\[[^\]]*\]", "", text)
    if outside and not re.fullmatch(r"[A-Za-z0-9._-]*", outside):
        raise hostile(text)
    if "][" in text:
        raise _malformed(text, "something has to stand between two pairs of brackets")
    pieces = re.split(r"\[([^\]]*)\]", text)
    # Texts and the insides of brackets take turns, texts first and last.
    choices: List[List[str]] = []
    size = 1
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            choices.append([piece])
            continue
        before, after = pieces[place - 1][-1:].isdigit(), pieces[place + 1][:1].isdigit()
        every = (name for one in piece.split(",") for name in _range(one, text, before, after))
        inside = list(itertools.islice(every, MAX_HOSTS + 1))
        size *= len(inside)
        if size > MAX_HOSTS:
            raise _malformed(text, "more than %d hosts" % MAX_HOSTS)
        choices.append(inside)
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _range(text: str, whole: str, digits_before: bool, digits_after: bool) -> Iterator[str]:
    match = _RANGE.fullmatch(text)
    if not match:
        raise _malformed(whole, "%r is not a range of numbers" % text if text.strip() else "empty range")
    first, last, step = match.group(1), match.group(2) or match.group(1), int(match.group(3) or 1)
    is_padded = any(len(bound) > 1 and bound[0] == "0" for bound in (first, last))
    if len(first) != len(last) and (is_padded or digits_before):
        raise _malformed(whole, "the numbers of %r differ in length" % text)
    if match.group(3) and digits_after:
        raise _malformed(whole, "digits cannot follow a range with steps")
    if int(first) > int(last) or step < 1 or (match.group(2) is None and step != 1):
        raise _malformed(whole, "%r is not a range of numbers" % text)
    if (int(last) - int(first)) // step >= MAX_HOSTS:
        raise _malformed(whole, "more than %d hosts" % MAX_HOSTS)
    width = len(first) if is_padded else 0
    return (str(value).zfill(width) for value in range(int(first), int(last) + 1, step))
