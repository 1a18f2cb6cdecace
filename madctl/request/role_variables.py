# SPDX-License-Identifier: Apache-2.0
"""Turn a parsed command line into the variables of the roles, refusing what needs no node to refuse."""

from __future__ import annotations

import argparse
import ipaddress
import os
import shlex
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog, command_line, runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import Word, pack, unpack
from ansible_collections.madctl.multinode.plugins.module_utils._common.whole_numbers import number
from ansible_collections.madctl.multinode.plugins.module_utils._request import validation
from ansible_collections.madctl.multinode.plugins.module_utils._show.masking import values
from madctl.errors import Problem, UsageError
from madctl.request import model_variables

_MOST_BYTES = 1 << 60
_ENV_FILE_CHARACTERS = 1 << 20


def launch_variables(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """
    Build the roles' variables for a launch.

    Raises:
        UsageError: If the request cannot be meant as it stands.
    """
    if not options.work and not options.tags:
        raise UsageError(Problem("WORK_MISSING", "there is nothing to run", remedy="madctl launch … -- train.py"))
    for option, value in (("--idle-timeout", options.idle_timeout), ("--max-restarts", options.max_restarts)):
        if options.detach and value:
            raise UsageError(Problem("USAGE", f"{option} needs somebody who follows", remedy="leave out --detach"))
    result = _variables(options, environment)
    # A dry run writes nothing, so it can prove nothing.
    return {
        **result,
        "madctl_dry_run": options.dry_run,
        "madctl_proof": not options.dry_run,
        "madctl_detach": options.detach,
    }


def check_variables(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """
    Build the roles' variables for a check, which needs no work.

    Raises:
        UsageError: If the request cannot be meant as it stands.
    """
    if options.dry_run:
        raise UsageError(Problem("USAGE", "check starts nothing anyway", remedy="leave out --dry-run"))
    return {**_variables(options, environment), "madctl_only": _checks("--only", options.only, catalog.NAMES)}


def _variables(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    work = options.work or []
    if "\0" in "".join(work):
        raise UsageError(Problem("WORK_INVALID", "an argument holds a NUL byte"))
    shape = runners.asked_for(options)
    for found in validation.work(work, shape, options.python):
        raise UsageError(Problem(found["code"], found["message"], remedy=found["remedy"]))
    python = command_line.chosen_python(work, shape, options.python)
    if options.gpus == "per-node" and not runners.ranks_by(options.runner).takes_unequal:
        message = f"{options.runner} needs the same number of processes on every node"
        raise UsageError(Problem("USAGE", message, remedy="--gpus min"))
    variables, checkout = model_variables.checkout(options, _environment(options, environment))
    result: dict[str, Any] = {
        "madctl_work": [pack(word) for word in work],
        "madctl_shape": shape,
        **model_variables.variables(options),
        "madctl_runner": options.runner,
        "madctl_mpirun": options.mpirun,
        "madctl_mpi_args": _mpi_args(options),
        "madctl_allow_run_as_root": options.allow_run_as_root,
        "madctl_python": python or caller_python(environment),
        "madctl_python_required": python is not None,
        "madctl_nproc_per_node": _processes(options.nproc_per_node),
        "madctl_gpus": options.gpus,
        "madctl_master_addr": _address(options.master_addr),
        "madctl_master_port": _port(options.master_port),
        "madctl_interface": _interface(options.interface),
        "madctl_shared_paths": [_shared(path) for path in _shared_paths(options)],
        "madctl_shared_fstypes": options.shared_fstype,
        "madctl_env": variables,
        "madctl_chdir": checkout or os.getcwd(),
        "madctl_chdir_required": checkout is not None,
        "madctl_run_dir": options.run_dir,
        "madctl_timeout": _seconds("--timeout", options.timeout),
        "madctl_nnodes": options.nnodes,
        "madctl_max_restarts": options.max_restarts,
        "madctl_idle_timeout": _seconds("--idle-timeout", options.idle_timeout),
        "madctl_log_cap": size("--log-cap", options.log_cap),
        "madctl_start_timeout": _seconds("--start-timeout", options.start_timeout),
        "madctl_skip": _checks("--skip", options.skip, catalog.SKIPPABLE),
        "madctl_install": not options.no_install and not options.dry_run,
        "madctl_become": True,
    }
    return {name: value for name, value in result.items() if value is not None}


def _checks(option: str, names: Sequence[str], known: Collection[str]) -> list[str]:
    for name in names:
        if name not in known:
            ordered = ", ".join(check for check in catalog.NAMES if check in known)
            raise UsageError(Problem("USAGE", f"{option} takes one of {ordered}, not {name!r}"))
    return list(names)


def caller_python(environment: Mapping[str, str]) -> str | None:
    """Find the caller's python3; a shim, which is a script, is asked for what it stands for."""
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


def _usage(option: str, value: object, wanted: str) -> UsageError:
    return UsageError(Problem("USAGE", f"{option} takes {wanted}, not {value!r}"))


def _shared_paths(options: argparse.Namespace) -> list[str]:
    mirror = options.force_mirror_local
    known = [path.removesuffix(":ro").rstrip("/") for path in options.shared_path]
    # The nearest mount is the judge's to find; what is below a path that is checked anyway needs no check of its own.
    if mirror is None or any(f"{mirror}/".startswith(f"{path}/") for path in known):
        return list(options.shared_path)
    return [*options.shared_path, mirror]


def _mpi_args(options: argparse.Namespace) -> list[str]:
    for option, needed in runners.owners().items():
        value = getattr(options, option[2:].replace("-", "_"))
        if value is not None and options.runner != needed:
            raise UsageError(Problem("USAGE", f"{option} needs --runner {needed}"))
    if options.mpirun is not None and not options.mpirun.startswith("/"):
        raise _usage("--mpirun", options.mpirun, "an absolute path")
    try:
        words = shlex.split(options.mpi_args or "")
    except ValueError as error:
        raise _usage("--mpi-args", options.mpi_args, "words, quoted as for a shell") from error
    for word in validation.reserved(words):
        message = f"--mpi-args: {word} is the plan's to decide"
        raise UsageError(Problem("MPI_ARGS_RESERVED", message, remedy="leave it out"))
    return words


def _processes(text: str) -> str:
    if text not in ("auto", "gpu") and number(text, 1, 1024) is None:
        raise _usage("--nproc-per-node", text, "a number from 1, auto or gpu")
    return text


def _port(text: str) -> str:
    if text != "auto" and number(text, 1, 65535) is None:
        raise _usage("--master-port", text, "a number from 1 to 65535, or auto")
    return text


def _address(text: str | None) -> str | None:
    try:
        return text and str(ipaddress.ip_address(text))
    except ValueError as error:
        raise _usage("--master-addr", text, "an IP address of the first node") from error


def _interface(text: str | None) -> str | None:
    if text is not None and "/" in text:
        try:
            return str(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise _usage("--interface", text, "a name or a network such as 10.0.0.0/24") from error
    if text is not None and (not text or len(text) > 15 or text.startswith("-")):
        raise _usage("--interface", text, "a name or a network such as 10.0.0.0/24")
    return text


def _shared(text: str) -> str:
    if not text.startswith("/"):
        raise _usage("--shared-path", text, "an absolute path")
    return text


def _seconds(option: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < 1e9:
        raise _usage(option, value, "a positive number of seconds")
    return value


def size(option: str, text: str) -> int:
    """
    Read a number of bytes.

    Raises:
        UsageError: If it is none.
    """
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    digits, unit = (text[:-1], units[text[-1:].upper()]) if text[-1:].upper() in units else (text, 1)
    count = number(digits, 1, _MOST_BYTES)
    if count is None or count * unit > _MOST_BYTES:
        raise _usage(option, text, "a number of bytes, or with K, M or G")
    return int(count) * unit


def _environment(options: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Word]:
    lines = list(options.env)
    if options.env_file:
        lines = _env_file(options.env_file, environment) + lines
    result: dict[str, Word] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not name.isidentifier():
            raise _usage("--env", line, "NAME or NAME=VALUE")
        if not equals and name not in environment:
            raise UsageError(
                Problem("ENV_UNSET", f"--env {name}: the variable is not set here", remedy=f"--env {name}=VALUE")
            )
        result[name] = pack(value if equals else environment[name])
    return result


def _env_file(path: str, environment: Mapping[str, str]) -> list[str]:
    """Read the lines of a file that are not empty and no comment; errors name a line, which may hold a secret."""
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as stream:
            text = stream.read(_ENV_FILE_CHARACTERS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(Problem("ENV_FILE_UNREADABLE", f"{path}: {error}")) from error
    if len(text) > _ENV_FILE_CHARACTERS:
        raise UsageError(Problem("ENV_FILE_UNREADABLE", f"{path}: longer than {_ENV_FILE_CHARACTERS} characters"))
    found = []
    for at, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        name, equals, _ = line.partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not name.isidentifier() or not equals and name not in environment:
            remedy = None if name.isidentifier() else "write NAME=VALUE"
            about = f"{path}: line {at} is not NAME=VALUE, or names a variable that is not set here"
            raise UsageError(Problem("USAGE", about, remedy=remedy))
        found.append(line)
    return found


def secrets(options: argparse.Namespace, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """
    Give the values that must not be shown: those that stand in no word of the command line.

    Args:
        options: The parsed command line.
        wanted: What was made of it. The file is not read again: it may be a pipe, and empty by now.
    """
    # The last entry of a name counts: it alone says where the value came from.
    typed = {name: equals for name, equals, _ in (entry.partition("=") for entry in options.env)}
    untyped = ((name, unpack(word)) for name, word in wanted["madctl_env"].items() if not typed.get(name))
    return tuple(values(untyped))
