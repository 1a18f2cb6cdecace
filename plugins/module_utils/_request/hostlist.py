# SPDX-License-Identifier: Apache-2.0
"""
Parse host lists as people write them, using only the standard library. The given order is the rank order.

madctl's ``--hosts`` and ``--hostfile``, and the inventory plugin, parse their lists with it. Only madctl knows
``@group``; other users have the groups of the inventory. Pure; private to the collection.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._request.host_names import NAME as NAME
from ansible_collections.madctl.multinode.plugins.module_utils._request.host_names import did_you_mean, is_ipv6
from ansible_collections.madctl.multinode.plugins.module_utils._request.host_names import is_name as is_name
from ansible_collections.madctl.multinode.plugins.module_utils._request.host_names import meant as meant
from ansible_collections.madctl.multinode.plugins.module_utils._request.kinds import MAX_HOSTS, number

SSH_PORT = 22
MANY_SLOTS = 512  # Larger numbers are ports.
GROUP = re.compile(r"[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?")
_LITERAL = re.compile(r"\[([0-9A-Fa-f:.%]+:[0-9A-Fa-f:.%]*)\](?::(.*))?")
_BALANCED = re.compile(r"[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*")
_PART = re.compile(r"((?:[^,\[]|\[[^\]]*\])*),")  # of a balanced text that ends with a comma
_RANGE = re.compile(r" *([0-9]{1,18}) *(?:- *([0-9]{1,18}) *)?(?:/([0-9]{1,18}) *)?")
_LIKE = "write it like gpu[01-16]"


class HostsError(ValueError):
    """An invalid list; ``problem`` says why."""

    def __init__(self, code: str, message: str, remedy: Optional[str] = None, host: Optional[str] = None) -> None:
        self.problem = codes.problem(code, host, message, remedy)
        super().__init__(codes.line(self.problem))


@dataclass(frozen=True)
class Host:
    """One node as listed."""

    name: str
    user: Optional[str] = None
    port: Optional[int] = None
    slots: Optional[int] = None
    # Settings that only a host file has.
    python: Optional[str] = None
    interface: Optional[str] = None
    env: Tuple[Tuple[str, str], ...] = ()


Groups = Callable[[str], List[str]]


def from_list(text: str, groups: Optional[Groups] = None) -> List[Host]:
    """
    Parse ``gpu[01-16]``, ``a,b,c``, ``gpu[1-8/2]``, ``@group``, ``user@host:port`` and IPv6 literals.

    The part after a ``!``, up to the next comma or ``!``, is left out of everything before it: ``gpu[1-8]!gpu3``.

    Args:
        groups: Lists the nodes of a group, or raises ValueError; without it there are no groups.

    Raises:
        HostsError: If a part is empty, malformed, hostile or repeated, or if a left-out host is not in the list.
    """
    parts = split(text, text)
    hosts = (host for part in parts for host in expand(part, groups))
    return checked(_subtracted(parts, text, groups) if "!" in text else hosts, text)


def _subtracted(parts: List[str], text: str, groups: Optional[Groups]) -> Iterable[Host]:
    found: Dict[str, Host] = {}
    for part in parts:
        first, *others = [word.strip() for word in part.split("!")]
        added = checked(expand(first, groups), first) if first or not others else []
        for host in added:
            if host.name in found:
                raise twice(host.name)
            found[host.name] = host
        if len(found) > MAX_HOSTS:
            raise HostsError("HOSTS_MALFORMED", "more than %d hosts" % MAX_HOSTS)
        for other in others:
            for name in left_out(other, text, groups):
                # A group may well have other hosts, too.
                if found.pop(name, None) is None and not other.startswith("@"):
                    message = "%s is excluded from %r, but is not in it" % (name, text)
                    raise HostsError("EXCLUDE_UNKNOWN", message, kinds.meant(name, found))
    return found.values()


def left_out(part: str, text: str, groups: Optional[Groups]) -> List[str]:
    """
    Return the names of hosts that a part of a list leaves out.

    Raises:
        HostsError: If it is malformed, or more than names; ``text`` is the whole list.
    """
    if not part:
        raise _malformed(text, "a name is missing after '!'")
    hosts = expand(part, groups)
    wrong = next((host for host in hosts if host.user or host.port or not is_name(host.name)), None)
    if wrong:
        raise HostsError("HOST_INVALID", "%r: hosts are excluded by name only" % part)
    return [host.name for host in hosts]


def from_scheduler(text: str) -> List[Host]:
    """
    Parse names and ranges as a scheduler writes them, without users and groups, which only people may use.

    Raises:
        HostsError: As ``from_list`` does, and for every ``@``.
    """
    refuse_at(text)
    return from_list(text)


def slots_meant(host: str, port: Any) -> Optional[str]:
    """Return the remedy for a host that does not answer on a low port, which may have been meant as slots."""
    found = number(str(port), SSH_PORT + 1, MANY_SLOTS)
    return ":%d is a port; slots go into a host file: %s slots=%d" % (found, host, found) if found else None


def checked(hosts: Iterable[Host], source: str) -> List[Host]:
    """
    Return a list that contains at least one host, and none twice.

    Raises:
        HostsError: If it does not.
    """
    found, seen = [], set()
    for host in hosts:
        if not is_name(host.name):
            raise hostile(host.name)
        if host.name in seen:
            raise twice(host.name)
        seen.add(host.name)
        found.append(host)
        if len(found) > MAX_HOSTS:
            raise HostsError("HOSTS_MALFORMED", "more than %d hosts" % MAX_HOSTS)
    if not found:
        raise HostsError("HOSTS_EMPTY", "no host in %r" % source, "name some: gpu[01-16]")
    return found


def twice(name: str) -> HostsError:
    return HostsError("HOST_DUPLICATE", "the host is listed twice", "list every node once", name)


def refuse_at(text: str) -> None:
    if "@" in text or "!" in text:
        raise HostsError(
            "HOST_INVALID", "%r is not a valid host name" % text, "users, groups and ! are allowed only in --hosts"
        )


def split(text: str, whole: str) -> List[str]:
    """
    Split at the commas outside brackets.

    Raises:
        HostsError: If brackets do not match or a part is empty; ``whole`` is the text that it names.
    """
    if not _BALANCED.fullmatch(text):
        raise _malformed(whole, "brackets do not match")
    parts = [part.strip() for part in _PART.findall(text + ",")]
    if not any(parts):
        raise HostsError("HOSTS_EMPTY", "the host list is empty", "name some: gpu[01-16]")
    if not all(parts):
        raise _malformed(whole, "a name is missing between two commas")
    return parts


def _malformed(text: str, reason: str) -> HostsError:
    return HostsError("HOSTS_MALFORMED", "host list %r: %s" % (text, reason), did_you_mean(text) or _LIKE)


def hostile(text: str) -> HostsError:
    """Return the error for a text that is not a valid host."""
    remedy = "use letters, digits, '.', '-' and '_', not '-' first"
    return HostsError("HOST_INVALID", "%r is not a valid host name" % text, did_you_mean(text) or remedy)


def expand(part: str, groups: Optional[Groups]) -> List[Host]:
    if part.startswith("@"):
        return [Host(name) for name in _group(part, groups)]
    user, at, rest = part.rpartition("@")
    if at and not NAME.fullmatch(user):
        raise hostile(part)
    rest, port = _port(rest, part)
    if is_ipv6(rest):
        return [Host(rest, user or None, port)]
    return [Host(name, user or None, port) for name in _names(rest)]


def _group(part: str, groups: Optional[Groups]) -> List[str]:
    if not GROUP.fullmatch(part[1:]):
        raise hostile(part)
    if groups is None:
        raise _malformed(part, "use the groups of the inventory here")
    try:
        names = groups(part)
    except HostsError:
        raise
    except ValueError as error:
        raise _malformed(part, str(error)) from error
    return names


def _port(text: str, part: str) -> Tuple[str, Optional[int]]:
    name, after = colon(text)
    if after is None:
        return name, None
    port: Optional[int] = number(after, 1, 65535)
    if port is None:
        raise _malformed(part, "%r is not a port" % after)
    if port < SSH_PORT:
        raise HostsError(
            "HOSTS_MALFORMED",
            ":%d is a port; slots go into a host file" % port,
            "%s slots=%d in a --hostfile" % (name, port),
        )
    return name, port


def colon(text: str) -> Tuple[str, Optional[str]]:
    """Split a name from what follows its colon, unless the colon is part of an IPv6 address."""
    literal = _LITERAL.fullmatch(text)
    if literal:
        return literal.group(1), literal.group(2)
    name, colon, after = text.rpartition(":")
    return (name, after) if colon and ":" not in name else (text, None)


def _names(text: str) -> List[str]:
    """Expand every pair of brackets, the last one fastest."""
    if not text:
        raise HostsError("HOSTS_EMPTY", "%r names no host" % text)
    outside = re.sub(r"\[[^\]]*\]", "", text)
    if outside and not re.fullmatch(r"[A-Za-z0-9._-]*", outside):
        raise hostile(text)
    if "][" in text:
        raise _malformed(text, "two pairs of brackets need something between them")
    pieces = re.split(r"\[([^\]]*)\]", text)
    # Texts and the contents of brackets alternate; texts are first and last.
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
        raise _malformed(whole, "the numbers in %r differ in length" % text)
    if match.group(3) and digits_after:
        raise _malformed(whole, "digits cannot follow a range with steps")
    if int(first) > int(last) or step < 1 or (match.group(2) is None and step != 1):
        raise _malformed(whole, "%r is not a range of numbers" % text)
    if (int(last) - int(first)) // step >= MAX_HOSTS:
        raise _malformed(whole, "more than %d hosts" % MAX_HOSTS)
    width = len(first) if is_padded else 0
    return (str(value).zfill(width) for value in range(int(first), int(last) + 1, step))
