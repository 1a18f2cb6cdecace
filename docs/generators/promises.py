# SPDX-License-Identifier: Apache-2.0
"""The list of all names that later versions keep, one per line: what users type, and what their programs read."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

import madctl
from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, run_directory
from docs.generators import command_line, output
from madctl.cli import build_parser
from madctl.errors import ExitCode
from madctl.settings import entries, environment

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "reference" / "promises.txt"


def text() -> str:
    """Return the list with all new names added; names that are gone stay, so that a test can find them."""
    return "".join(f"{line}\n" for line in sorted({*written(), *kept()}))


def written() -> list[str]:
    """Return the list as committed."""
    return LIST.read_text(encoding="utf-8").splitlines() if LIST.exists() else []


def kept() -> set[str]:
    """Return the names that the code provides today."""
    return {*_codes(), *_json(), *_typed(), *_of_roles(), *_plugins(), *_python()}


def _codes() -> Iterator[str]:
    for page in ("errors.md", "checks.md"):
        for code in re.findall(r"^\| `([A-Z_]+)`", (LIST.parent / page).read_text(encoding="utf-8"), re.M):
            number = f" {int(codes.exit_code_of([code]))}" if codes.has_exit_code(code) else ""
            yield f"code {code}{number}"
    yield from (f"exit code {int(code)} {code.name}" for code in ExitCode)


def _json() -> Iterator[str]:
    whole = json.loads(output.schema())
    yield f"json schema {whole['properties']['schema']['const']}"
    for name, part in whole["$defs"].items():
        for key, value in part.get("properties", {}).items():
            may = "" if key in part["required"] else " optional"
            yield f"json {name}.{key} {output.type_of(value, str)}{may}"


def _typed() -> Iterator[str]:
    for command in command_line.commands():
        yield f"command {command.name}"
        for option in (option for group in command.groups for option in group.options):
            yield from (
                f"option {command.name} {name}" for name in re.findall(r"(?<!\S)--?[a-z][a-z-]*", option.spelling)
            )
    found = list(entries.commands(build_parser()))
    yield from (f"setting {key}" for command in found for key in command.options)
    yield from (f"environment {name}" for name in environment.variables(found))
    given = (run_directory.RUN_ID, run_directory.RUN_DIR, run_directory.HOST_FILE_PATH)
    yield from (f"environment of jobs {name}" for name in (*given, run_directory.ATTEMPT, run_directory.RESTARTS))


def _of_roles() -> Iterator[str]:
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        role = path.parents[1]
        yield f"role {role.name}"
        for spec in _read(path)["argument_specs"].values():
            for name, option in spec.get("options", {}).items():
                yield f"role {role.name} {name} {option['type']}"
        defaults = (role / "defaults" / "main.yml").read_text(encoding="utf-8")
        yield from (f"variable {name}" for name in re.findall(r"\bmadctl_\w+", defaults))
        tasks = "".join(one.read_text(encoding="utf-8") for one in role.glob("tasks/*.yml"))
        yield from (f"result {name}" for name in re.findall(rf"register: ({role.name}_result)", tasks))


def _plugins() -> Iterator[str]:
    yield from (f"playbook madctl.multinode.{path.stem}" for path in ROOT.glob("playbooks/*.yml"))
    for kind in ("callback", "inventory"):
        names = [path.stem for path in ROOT.glob(f"plugins/{kind}/*.py")]
        yield from (f"{kind} madctl.multinode.{name}" for name in names if not name.startswith("_"))


def _python() -> Iterator[str]:
    for name in madctl.__all__:
        found: Any = getattr(madctl, name)
        yield f"python madctl.{name}"
        if inspect.isclass(found) and not name.endswith("Options"):
            own = [field.name for field in fields(found)] if is_dataclass(found) else []
            own += [name for name in vars(found) if not name.startswith("_")]
            yield from (f"python madctl.{name}.{each}" for each in own if not each.startswith("_"))
    yield from (f"python madctl.errors.{name}" for name in ("KeywordError", "MadctlError", "RunError", "UsageError"))


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
