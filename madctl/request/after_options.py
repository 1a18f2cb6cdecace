# SPDX-License-Identifier: Apache-2.0
"""Options for what to do after the end of a run."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

from madctl.errors import refused

ON_END, NOTIFY = "--on-end", "--notify"
_LONGEST = 8192


def add_after_options(parser: argparse.ArgumentParser) -> None:
    """Add these options to the parser of a command that follows a run to its end."""
    group = parser.add_argument_group("after the end")
    what = "run this shell command on this machine after the end, with the JSON result on its input"
    group.add_argument(ON_END, type=_command, metavar="COMMAND", help=what)
    what = "POST the JSON result to this http or https URL after the end, with a text for Slack and others"
    group.add_argument(NOTIFY, type=_address, metavar="URL", help=what)


def refuse_detached(options: argparse.Namespace) -> None:
    """
    Refuse these options for a launch that does not follow its run.

    Raises:
        UsageError: If one was given.
    """
    for option, value in ((ON_END, options.on_end), (NOTIFY, options.notify)):
        if options.detach and value:
            remedy = f"leave out --detach, or give {option} to madctl attach"
            raise refused("USAGE", f"{option} needs a process that follows the run to its end", remedy=remedy)


def _command(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise refused("USAGE", f"{ON_END} takes a shell command, not {text!r}")
    return text


def _address(text: str) -> str:
    """Check an address; error messages never quote it, because it may hold a token."""
    why = _flaw(text)
    if why:
        raise refused("USAGE", f"{NOTIFY} takes an http or https address: {why}", remedy="https://HOST/PATH")
    return text


def _flaw(text: str) -> str | None:
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > _LONGEST:
        return f"only up to {_LONGEST} ASCII characters without blanks are allowed"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "its host or its port is invalid"
    if not text.startswith(("http://", "https://")):
        return "it begins with neither http:// nor https://"
    if not parts.hostname or port == 0:
        return "its host or its port is missing"
    if parts.username is not None or parts.password is not None:
        return "a user name or a password in it is not supported"
    return None
