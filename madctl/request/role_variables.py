# SPDX-License-Identifier: Apache-2.0
"""Turn a parsed command line into the variables of the roles, and refuse what is invalid without contacting nodes."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import command_line, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, pack, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import limits
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX, TABLE, Row
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import values
from madctl.errors import Problem, UsageError, refused
from madctl.request import kubernetes_options

_ENV_FILE_CHARACTERS = 1 << 20
_OF_MODELS = ("--additional-context", "--additional-context-file", "--force-mirror-local", "--replace-containers")
# Other variables of a launch are computed from several options.
_AS_TYPED = [row for row in TABLE if row.option and row.name not in ("shape", "env", "install")]


def launch_variables(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """
    Build the roles' variables for a launch.

    Raises:
        UsageError: If the request is invalid.
    """
    if not options.work and not options.tags:
        raise refused("WORK_MISSING", "there is nothing to run", remedy="madctl launch … -- train.py")
    for option, value in (("--idle-timeout", options.idle_timeout), ("--max-restarts", options.max_restarts)):
        # In a scheduler's job, the first node follows the run.
        if options.detach and value and options.on == "ssh":
            raise refused("USAGE", f"{option} needs a process that follows", remedy="leave out --detach")
    # A dry run writes nothing, so it cannot run the proof.
    return {**_variables(options, environment), "madctl_proof": not options.dry_run}


def check_variables(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """
    Build the roles' variables for a check, which needs no work.

    Raises:
        UsageError: If the request is invalid.
    """
    if options.dry_run:
        raise refused("USAGE", "check never starts anything", remedy="leave out --dry-run")
    return _variables(options, environment)


def _variables(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    _require_what_they_need(options)
    work, is_in_pods = options.work or [], options.on == "k8s"
    shape = runners.asked_for(options)
    env, checkout = _checkout(options, _environment(options, environment))
    python = command_line.chosen_python(work, shape, options.python)
    given = {
        **{row.name: getattr(options, row.attribute) for row in _as_typed(options)},
        **(kubernetes_options.typed(options) if is_in_pods else {}),
        "work": [pack(word) for word in work],
        "shape": shape,
        "additional_context": _contexts(options),
        "shared_paths": validation.mirrored(options.shared_path, options.force_mirror_local),
        "env": env,
        "chdir": checkout,
    }
    problems = validation.contradictions({**given, "python": options.python}, validation.as_option)
    problems += limits.problems(given, validation.as_option) if is_in_pods else []
    if problems:
        raise UsageError(*(Problem(found["code"], found["message"], remedy=found["remedy"]) for found in problems))
    # Images have neither the Python nor the directory of this machine; with --setup, nodes choose the Python.
    has_own = is_in_pods or options.setup or options.login_shell
    given |= {
        "python": python or (None if has_own else caller_python(environment)),
        "python_required": python is not None,
        "chdir": checkout or (None if is_in_pods or options.sync else os.getcwd()),
        "sync": _synced(options),
        "chdir_required": checkout is not None,
        "install": not options.no_install and not options.dry_run,
        "become": True,
    }
    return {PREFIX + name: value for name, value in given.items() if value is not None}


def _synced(options: argparse.Namespace) -> str | None:
    """Return the directory to send to nodes."""
    if options.sync is None:
        return None
    path: str = os.path.abspath(options.sync)
    if not path.isprintable():
        raise refused("SYNC_REFUSED", f"Ansible cannot carry the name of the directory {path!r}", remedy="rename it")
    return path


def _as_typed(options: argparse.Namespace) -> list[Row]:
    meant = [row for row in _AS_TYPED if row.scheduler in (None, options.on)]
    return [row for row in meant if hasattr(options, row.attribute)]


def needed(options: argparse.Namespace) -> dict[str, tuple[str, bool]]:
    """Return each option that needs another one, with that other option, and whether that is given."""
    of_runners = {
        option: (f"--runner {row.name}", options.runner == row.name) for row in runners.ROWS for option in row.options
    }
    return {**of_runners, **dict.fromkeys(_OF_MODELS, ("--tags", bool(options.tags)))}


def _require_what_they_need(options: argparse.Namespace) -> None:
    for option, (other, is_given) in needed(options).items():
        if getattr(options, option[2:].replace("-", "_")) and not is_given:
            raise refused("USAGE", f"{option} needs {other}")
    if options.tags and options.as_command:
        raise refused("USAGE", "--tags and --command exclude each other")


def _checkout(options: argparse.Namespace, env: dict[str, Word]) -> tuple[dict[str, Word], str | None]:
    """Use madengine's MODEL_DIR as the working directory: it means the same, and nodes copy from there anyway."""
    if not options.tags or "MODEL_DIR" not in env:
        return env, options.chdir
    place = unpack(env["MODEL_DIR"])
    if options.chdir not in (None, place):
        message = f"--chdir {options.chdir} and MODEL_DIR={place} are different checkouts"
        raise refused("USAGE", message, remedy="leave one of them out")
    return {name: value for name, value in env.items() if name != "MODEL_DIR"}, place


def _contexts(options: argparse.Namespace) -> list[dict[str, Any]]:
    """
    Read the additional contexts, that of the file first: how they are merged depends on the nodes' madengine.

    Raises:
        UsageError: If one is unreadable or malformed.
    """
    texts = {}
    if options.additional_context_file is not None:
        try:
            texts[options.additional_context_file] = Path(options.additional_context_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise refused("CONTEXT_UNREADABLE", f"{options.additional_context_file}: {reason(error)}") from error
    if options.additional_context is not None:
        texts["--additional-context"] = options.additional_context
    found: list[dict[str, Any]] = []
    for source, text in texts.items():
        try:
            found.append(madengine_options.parse(text))
        except ValueError as error:
            remedy = "write it as {'key': 'value'}"
            raise refused("CONTEXT_MALFORMED", f"{source}: {error}", remedy=remedy) from error
    return found


def caller_python(environment: Mapping[str, str]) -> str | None:
    """Find the caller's python3; if it is a script, such as a shim, run it to get the Python that it starts."""
    found = shutil.which("python3", path=environment.get("PATH"))
    if found is None:
        return None
    path = os.path.abspath(found)
    with open(path, "rb") as stream:
        is_script = stream.read(2) == b"#!"
    if is_script:
        argv = [path, "-c", "import sys; print(sys.executable)"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
    return path


def _environment(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Word]:
    lines = list(options.env)
    if options.env_file:
        lines = _env_file(options.env_file, environment) + lines
    result: dict[str, Word] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not name.isidentifier():
            raise refused("USAGE", f"--env takes NAME or NAME=VALUE, not {name!r}")
        if not equals and name not in environment:
            raise refused("ENV_UNSET", f"--env {name}: the variable is not set here", remedy=f"--env {name}=VALUE")
        result[name] = pack(value if equals else environment[name])
    return result


def _env_file(path: str, environment: Mapping[str, str]) -> list[str]:
    """Read a file without empty lines and comments; errors show only line numbers, because lines may hold secrets."""
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as stream:
            text = stream.read(_ENV_FILE_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise refused("ENV_FILE_UNREADABLE", f"{path}: {reason(error)}") from error
    if len(text) > _ENV_FILE_CHARACTERS:
        raise refused("ENV_FILE_UNREADABLE", f"{path}: longer than {_ENV_FILE_CHARACTERS} characters")
    found = []
    for at, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        name, equals, _ = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not name.isidentifier() or not equals and name not in environment:
            remedy = None if name.isidentifier() else "write NAME=VALUE"
            about = f"{path}: line {at} is not NAME=VALUE, or names a variable that is not set here"
            raise refused("USAGE", about, remedy=remedy)
        found.append(line)
    return found


def secrets(options: argparse.Namespace, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Return the values that must not be shown: those that are not part of the command line.

    Args:
        options: The parsed command line.
        wanted: The variables made from it. The file is not read again: it may be a pipe that is now empty.
    """
    # Only the last entry for a name counts.
    typed = {name: equals for name, equals, _ in (entry.partition("=") for entry in options.env)}
    untyped = ((name, unpack(word)) for name, word in wanted["madctl_env"].items() if not typed.get(name))
    return tuple(values(untyped))
