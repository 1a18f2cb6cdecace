# SPDX-License-Identifier: Apache-2.0
"""
The kinds of options: how to parse their values, and how to describe them. Pure; private to the collection.

A value comes as text from a command line, and as text or data from a playbook. Parsed values can be parsed again.
Every start of madctl imports this, so what only some options need is imported when they are parsed.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from ansible_collections.madctl.multinode.plugins.module_utils._common import rank_lists
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import is_packed
from ansible_collections.madctl.multinode.plugins.module_utils._common.run_directory import NOTE_LENGTH, RUN_NAME
from ansible_collections.madctl.multinode.plugins.module_utils._common.spelling import meant as meant

MAX_HOSTS, MAX_SLOTS = 4096, 1024
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST_BYTES = 1 << 60
_SHELL_CHARACTERS, _SHOWN_CHARACTERS = 1 << 16, 40
_MOST_DIGITS = 18  # Python refuses to parse numbers of thousands of digits.
_SECONDS_IN = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = r"([0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+)([smhd])"
_TRUE, _FALSE = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")


class UnfitError(ValueError):
    """A value that an option does not accept."""

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Kind(NamedTuple):
    """What an option accepts: a function that parses it, a description, and the type in specifications of roles."""

    read: Callable[[Any], Any]
    words: str
    type: str = "str"
    choices: Tuple[str, ...] = ()
    known: Tuple[str, ...] = ()  # words of which a wrong one may be a misspelling

    def parse(self, value: Any) -> Any:
        """
        Parse a value.

        Raises:
            UnfitError: If the option does not accept it, with the value or the part of it that is wrong.
        """
        try:
            return self.read(value)
        except UnfitError:
            raise
        except (ValueError, TypeError, AttributeError) as error:
            raise UnfitError(value) from error

    def refusal(self, name: str, value: Any) -> str:
        """Format what an option takes, and what it was given instead."""
        return "%s takes %s, not %r" % (name, self.words, str(value))


def number(text: str, least: int, most: int) -> Optional[int]:
    """Parse a number that consists of ASCII digits only; None if it is another text or out of bounds."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    return int(text) if least <= int(text) <= most else None


def one_of(words: Sequence[str]) -> str:
    """Format a choice in words."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def choice(*choices: str) -> Kind:
    """Make a kind that accepts one of some words."""
    return Kind(lambda value: _if(str(value) in choices, str(value)), one_of(choices), choices=choices, known=choices)


def names(known: Sequence[str]) -> Kind:
    """Make a kind that accepts one of many names, which specifications do not list."""
    said = "one of " + ", ".join(known)
    return Kind(lambda value: _if(str(value) in known, str(value)), said, known=tuple(known))


def whole(least: int, most: int) -> Kind:
    """Make a kind of whole numbers in plain digits; Python itself would accept 1_0, and digits of any script."""
    return Kind(lambda value: _whole(value, least, most), "a number from %d to %d" % (least, most), "int")


def whole_or(least: int, most: int, *words: str) -> Kind:
    """Make a kind of whole numbers or one of some words, as text."""
    said = "a number from %d to %d" % (least, most)
    parts = "%s, or %s" % (said, words[0]) if len(words) == 1 else one_of([said, *words])
    return Kind(lambda value: str(value) if str(value) in words else str(_whole(value, least, most)), parts)


def duration(value: Any) -> float:
    """
    Parse a duration in seconds, such as 90, 90s, 10m or 1h30m.

    Raises:
        ValueError: If it is something else.
    """
    text = str(value)
    if not re.fullmatch(r"(?:%s)+" % _SPAN, text):
        # Python itself would accept 1_0, and digits of any script.
        return float(_if(text.isascii() and "_" not in text, text))
    return sum(float(part[0]) * _SECONDS_IN[part[-1]] for part in re.findall(_SPAN, text))


def span(words: str, most: float, least: float = 0.0, unit: str = "s") -> Kind:
    """Make a kind of durations; a bare number is a number of ``unit``, and so is the parsed value."""

    def read(value: Any) -> float:
        text = str(value)
        found = duration(text) / (_SECONDS_IN[unit] if text[-1:] in _SECONDS_IN else 1)
        _if(least <= found < most, value)
        return found

    return Kind(read, words, "float")


def since(text: Optional[str], now: float) -> Union[float, str, None]:
    """
    Parse the point at which logs should begin.

    Args:
        text: ``now`` is their end; ``30s``, ``10m``, ``1h30m``, ``1d`` are that long ago; otherwise a time such as
            ``2026-11-23T10:00`` of this machine's clock.
        now: Seconds since the epoch.

    Returns:
        Seconds since the epoch, ``end``, or None for the first byte.

    Raises:
        ValueError: If it is none of these.
    """
    import datetime

    if text is None:
        return None
    if text == "now":
        return "end"
    if text[-1:] in _SECONDS_IN:
        return now - duration(text)
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except OverflowError as error:
        raise ValueError(str(error)) from error


def commas(value: Any) -> List[Any]:
    """Split one text at commas, as Ansible does for lists; a list is returned unchanged."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else list(value)


def shell_words(value: Any) -> List[Any]:
    """Split one text that is quoted as for a shell; a list is returned unchanged."""
    import shlex

    return shlex.split(value) if isinstance(value, str) else list(value)


def entries(value: Any) -> List[Any]:
    """Return the entries of a list; anything else becomes a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _if(fits: bool, value: Any) -> Any:
    if not fits:
        raise UnfitError(value)
    return value


def _whole(value: Any, least: int, most: int) -> int:
    found = number(str(value), least, most)
    if found is None:
        raise UnfitError(value)
    return found


def _switch(value: Any) -> bool:
    text = str(value).strip().lower()
    return _if(text in _TRUE + _FALSE, text) in _TRUE


def _bytes(value: Any) -> int:
    text = str(value)
    unit = _UNITS.get(text[-1:].upper(), 1)
    count = number(text if unit == 1 else text[:-1], 1, _MOST_BYTES // unit)
    if count is None:
        raise UnfitError(value)
    return count * unit


def _address(value: Any) -> str:
    import ipaddress

    return str(ipaddress.ip_address(str(value)))


def _interface(value: Any) -> str:
    import ipaddress

    text = str(value)
    if "/" in text:
        return str(ipaddress.ip_network(text, strict=False))
    _if(0 < len(text) <= 15 and not text.startswith("-"), text)
    return text


def _ranks(value: Any) -> str:
    return rank_lists.text(rank_lists.parse(str(value)))


def _moment(value: Any) -> str:
    since(str(value), 0.0)
    return str(value)


def _variables(value: Any) -> Dict[str, Any]:
    # Values may be secrets, so messages show none.
    if not isinstance(value, dict):
        raise UnfitError(type(value).__name__)
    for name, one in value.items():
        _if(str(name).isidentifier(), name)
        _if(not isinstance(one, dict) or is_packed(one), "%s: a mapping" % name)
    return {str(name): word(one) for name, one in value.items()}


def _name(value: Any) -> str:
    text = str(value)
    return str(_if(RUN_NAME.fullmatch(text) is not None, text))


def _note(value: Any) -> str:
    text = str(value)
    return str(_if(text.isprintable() and 0 < len(text) <= NOTE_LENGTH, text))


def _shell_text(value: Any) -> str:
    text = str(value)
    return str(_if("\0" not in text and len(text) <= _SHELL_CHARACTERS, text[:_SHOWN_CHARACTERS]) and text)


def _printable(value: Any) -> str:
    text = str(value)
    return str(_if(text.isprintable() and text != "", text))


def word(value: Any) -> Any:
    """Parse a word, or one that is not UTF-8 and is passed as a mapping; see ``raw_words``."""
    if not isinstance(value, dict):
        return str(value)
    _if(is_packed(value), "a mapping")  # Its contents may be secret.
    return dict(value)


TEXT = Kind(str, "text")
WORD = Kind(word, "words, quoted as for a shell", "raw")
ARGUMENT = Kind(str, "words, quoted as for a shell")
PRINTABLE = Kind(_printable, "one line of text")
SHELL_TEXT = Kind(_shell_text, "text for a shell, up to 64 KiB")
HOME_PATH = Kind(lambda value: _if(str(value).startswith(("/", "~/")), str(value)), "an absolute path, or one below ~/")
SWITCH = Kind(_switch, "true or false", "bool")
ABSOLUTE_PATH = Kind(lambda value: _if(str(value).startswith("/"), str(value)), "an absolute path")
ADDRESS = Kind(_address, "an IP address of the first node")
INTERFACE = Kind(_interface, "a name or a network such as 10.0.0.0/24")
_SUCH_AS = "a time such as 90, 10m or 1h30m"
SECONDS = span(_SUCH_AS, 1e9, least=5e-324)
LIMIT = span(_SUCH_AS + ", 0 for no limit", 1e9)
GRACE = span(_SUCH_AS, 1e9)
DAYS = span("a number of days, or a time such as 12h", 1e6, unit="d")
BYTES = Kind(_bytes, "a number of bytes, or with K, M or G", "int")
RANKS = Kind(_ranks, "ranks such as 0 or 0-3,7")
MOMENT = Kind(_moment, "now, 30s, 10m, 2h, 1d or a time such as 2026-11-23T10:00")
NAME = Kind(
    _name,
    "up to 40 letters, digits, dots, underscores and hyphens, other than a number or the ID of a run",
)
NOTE = Kind(_note, "one line of up to %d characters" % NOTE_LENGTH)
VARIABLES = Kind(_variables, "a mapping of valid variable names to values", "dict")
DATA = Kind(lambda value: value, "data", "raw")
MAPPING = Kind(dict, "a mapping", "dict")
# Beside Ansible's own --port, these belong to hosts of an inventory.
PORT = whole(1, 65535)
