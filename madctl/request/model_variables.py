# SPDX-License-Identifier: Apache-2.0
"""Turn options of models into variables of the roles, refusing what needs no node to refuse."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options
from madctl.errors import Problem, UsageError


def checkout(options: argparse.Namespace, env: dict[str, Word]) -> tuple[dict[str, Word], str | None]:
    """Take madengine's MODEL_DIR for the working directory that it stands for; nodes copy from there anyway."""
    if not options.tags or "MODEL_DIR" not in env:
        return env, options.chdir
    place = unpack(env["MODEL_DIR"])
    if options.chdir not in (None, place):
        message = f"--chdir {options.chdir} and MODEL_DIR={place} are two checkouts"
        raise UsageError(Problem("USAGE", message, remedy="leave one of them out"))
    return {name: value for name, value in env.items() if name != "MODEL_DIR"}, place


def variables(options: argparse.Namespace) -> dict[str, Any]:
    """Build the variables of models; without any, those options mean nothing."""
    context = _contexts(options)
    given = {
        "--additional-context": context,
        "--force-mirror-local": options.force_mirror_local,
        "--replace-containers": options.replace_containers,
    }
    for option, value in given.items():
        if value and not options.tags:
            raise UsageError(Problem("USAGE", f"{option} needs --tags"))
    if options.tags and options.as_command:
        raise UsageError(Problem("USAGE", "--tags and --command exclude each other"))
    if options.force_mirror_local is not None and not options.force_mirror_local.startswith("/"):
        message = f"--force-mirror-local takes an absolute path, not {options.force_mirror_local!r}"
        raise UsageError(Problem("USAGE", message))
    for message, remedy in _refused_words(options):
        raise UsageError(Problem("USAGE", message, remedy=remedy))
    return {
        "madctl_tags": list(options.tags),
        "madctl_additional_context": context,
        "madctl_force_mirror_local": options.force_mirror_local,
        "madctl_replace_containers": list(options.replace_containers),
    }


def _refused_words(options: argparse.Namespace) -> list[tuple[str, str]]:
    return madengine_options.refused(options.tags, options.work or []) if options.tags else []


def _contexts(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Read the additional contexts, the file's first: how they are merged depends on the nodes' madengine."""
    texts = {}
    if options.additional_context_file is not None:
        try:
            texts[options.additional_context_file] = Path(options.additional_context_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(Problem("CONTEXT_UNREADABLE", f"--additional-context-file: {error}")) from error
    if options.additional_context is not None:
        texts["--additional-context"] = options.additional_context
    found: list[dict[str, Any]] = []
    for source, text in texts.items():
        try:
            found.append(madengine_options.parse(text))
        except ValueError as error:
            remedy = "write it as {'key': 'value'}"
            raise UsageError(Problem("CONTEXT_MALFORMED", f"{source}: {error}", remedy=remedy)) from error
    return found
