# SPDX-License-Identifier: Apache-2.0
"""Read the options of models: their additional contexts, and the checkout that they run from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options
from madctl.errors import Problem, UsageError


def checkout(options: argparse.Namespace, env: dict[str, Word]) -> tuple[dict[str, Word], str | None]:
    """Use madengine's MODEL_DIR as the working directory, which is what it means; nodes copy from there anyway."""
    if not options.tags or "MODEL_DIR" not in env:
        return env, options.chdir
    place = unpack(env["MODEL_DIR"])
    if options.chdir not in (None, place):
        message = f"--chdir {options.chdir} and MODEL_DIR={place} are different checkouts"
        raise UsageError(Problem("USAGE", message, remedy="leave one of them out"))
    return {name: value for name, value in env.items() if name != "MODEL_DIR"}, place


def contexts(options: argparse.Namespace) -> list[dict[str, Any]]:
    """
    Read the additional contexts, the file's first: how they are merged depends on the nodes' madengine.

    Raises:
        UsageError: If one is unreadable or malformed.
    """
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
