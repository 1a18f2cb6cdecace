# SPDX-License-Identifier: Apache-2.0
"""
Read host lists as people write them, with nothing but the standard library. Order given is rank order.

The same notations as madctl's ``--hosts`` and ``--hostfile``, with the same errors, but for ``@group``:
groups are those of the inventory here. Pure; private to the collection.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from typing import Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _codes

MAX_HOSTS = 4096
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?")
_LITERAL = re.compile(r"\[([0-9A-Fa-f:.%]+:[0-9A-Fa-f:.%]*)\](?::(\d+))?")
_RANGE = re.compile(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?(?:/([0-9]+)\s*)?")
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


def from_list(text: str) -> List[Host]:
    """
    Read ``gpu[01-16]``, ``a,b,c``, ``gpu[1-8/2]``, ``user@host:port`` and IPv6 literals.

    Raises:
        HostsError: If a part is empty, malformed, hostile or repeated.
    """
    return checked([host for part in split(text, text) for host in _expand(part)], text)


def from_lines(text: str, path: str) -> List[Host]:
    """
    Read a host file: one ``name``, ``name slots=N`` or ``name:N`` a line; ``#`` begins a comment.

    Raises:
        HostsError: If a line cannot be meant.
    """
    found: List[Host] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words:
            found += _line(words, "%s:%d" % (path, number))
    return checked(found, path)


def checked(hosts: List[Host], source: str) -> List[Host]:
    """
    Give a list back that names at least one host, and none twice.

    Raises:
        HostsError: If it does not.
    """
    if not hosts:
        raise HostsError("HOSTS_EMPTY", "no host in %r" % source, "name some: gpu[01-16]")
    seen = set()
    for host in hosts:
        if not _NAME.fullmatch(host.name) and not _IPV6.fullmatch(host.name):
            raise _hostile(host.name)
        if host.name in seen:
            raise HostsError("HOST_DUPLICATE", "the host is named twice", "name every node once", host.name)
        seen.add(host.name)
    if len(hosts) > MAX_HOSTS:
        raise HostsError("HOSTS_MALFORMED", "%d hosts are more than %d" % (len(hosts), MAX_HOSTS))
    return hosts


def _line(words: List[str], where: str) -> List[Host]:
    name, slots = slots_of(words, where)
    return [replace(host, slots=slots) for part in split(name, where) for host in _expand(part)]


def slots_of(words: List[str], where: str) -> Tuple[str, Optional[int]]:
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
    if slots is not None and (not slots.isdigit() or int(slots) < 1):
        raise HostsError("HOSTFILE_MALFORMED", "%s: %r is no number of slots" % (where, slots), "name slots=N")
    return name, int(slots) if slots else None


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


def _hostile(text: str) -> HostsError:
    remedy = "use letters, digits, '.', '-' and '_', not '-' first"
    return HostsError("HOST_INVALID", "%r cannot be a host" % text, remedy)


def _expand(part: str) -> List[Host]:
    user, at, rest = part.rpartition("@")
    if part.startswith("@"):
        raise _malformed(part, "groups are the inventory's own here")
    if at and not _NAME.fullmatch(user):
        raise _hostile(part)
    rest, port = _port(rest, part)
    if _IPV6.fullmatch(rest):
        return [Host(rest, user or None, port)]
    return [Host(name, user or None, port) for name in _names(rest)]


def _port(text: str, part: str) -> Tuple[str, Optional[int]]:
    literal = _LITERAL.fullmatch(text)
    if literal:
        return literal.group(1), int(literal.group(2)) if literal.group(2) else None
    name, colon, port = text.rpartition(":")
    if colon and ":" not in name:
        if not port.isdigit() or not 1 <= int(port) <= 65535:
            raise _malformed(part, "%r is no port" % port)
        return name, int(port)
    return text, None


def _names(text: str) -> List[str]:
    """Expand every pair of brackets, the last one fastest."""
    if not text:
        raise HostsError("HOSTS_EMPTY", "%r names no host" % text)
    outside = re.sub(r"\[[^\]]*\]", "", text)
    if outside and not re.fullmatch(r"[A-Za-z0-9._-]*", outside):
        raise _hostile(text)
    if "][" in text:
        raise _malformed(text, "something has to stand between two pairs of brackets")
    pieces = re.split(r"\[([^\]]*)\]", text)
    # Texts and the insides of brackets take turns, texts first and last.
    choices: List[List[str]] = []
    size = 1
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            choices.append([piece])
            continue
        before, after = pieces[number - 1][-1:].isdigit(), pieces[number + 1][:1].isdigit()
        inside = [name for one in piece.split(",") for name in _range(one, text, before, after)]
        size *= len(inside)
        if size > MAX_HOSTS:
            raise _malformed(text, "more than %d hosts" % MAX_HOSTS)
        choices.append(inside)
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _range(text: str, whole: str, digits_before: bool, digits_after: bool) -> Iterator[str]:
    match = _RANGE.fullmatch(text)
    if not match:
        raise _malformed(whole, "%r is no range of numbers" % text if text.strip() else "empty range")
    first, last, step = match.group(1), match.group(2) or match.group(1), int(match.group(3) or 1)
    is_padded = any(len(bound) > 1 and bound[0] == "0" for bound in (first, last))
    if len(first) != len(last) and (is_padded or digits_before):
        raise _malformed(whole, "the numbers of %r differ in length" % text)
    if match.group(3) and digits_after:
        raise _malformed(whole, "digits cannot follow a range with steps")
    if int(first) > int(last) or step < 1 or (match.group(2) is None and step != 1):
        raise _malformed(whole, "%r is no range of numbers" % text)
    if (int(last) - int(first)) // step >= MAX_HOSTS:
        raise _malformed(whole, "more than %d hosts" % MAX_HOSTS)
    width = len(first) if is_padded else 0
    return (str(number).zfill(width) for number in range(int(first), int(last) + 1, step))
