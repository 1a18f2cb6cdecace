# SPDX-License-Identifier: Apache-2.0
"""
The settings for Ansible when madctl runs it: the path of this collection, and what its playbooks depend on.

All other settings of the user stay in force; those in ``ansible.cfg`` may be meant for other playbooks.
"""

from __future__ import annotations

import configparser
import importlib.util
import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from madctl.errors import ExitCode, Problem, RunError, refused

_PINNED = {
    # ansible-runner turns host key checking off unless it is set.
    "ANSIBLE_HOST_KEY_CHECKING": "True",
    # Callbacks that draw are for playbooks that are run by hand; here madctl does the drawing.
    "ANSIBLE_STDOUT_CALLBACK": "default",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    # All hosts run each task together, a failure is judged with all others, and no play ends early.
    "ANSIBLE_STRATEGY": "linear",
    "ANSIBLE_ANY_ERRORS_FATAL": "False",
    "ANSIBLE_ERROR_ON_UNDEFINED_VARS": "True",
    "ANSIBLE_TASK_TIMEOUT": "0",
    "ANSIBLE_RUN_TAGS": "all",
    "ANSIBLE_SKIP_TAGS": "never",  # This list must not be empty.
    # madctl parses the results.
    "ANSIBLE_NO_LOG": "False",
    # Results grow with the number of nodes, and ansible-runner empties longer ones; its default is 700,000 characters.
    "MAX_EVENT_RES": str(1 << 30),
    # A prompt could not be answered.
    "ANSIBLE_ASK_PASS": "False",
    "ANSIBLE_BECOME_ASK_PASS": "False",
    "ANSIBLE_ASK_VAULT_PASS": "False",
    "ANSIBLE_ENABLE_TASK_DEBUGGER": "False",
    # Nodes are reached over ssh unless an inventory says otherwise.
    "ANSIBLE_TRANSPORT": "ssh",
}
_INVENTORY_PLUGINS = "host_list,script,auto,yaml,ini,toml"
_COLLECTIONS = "~/.ansible/collections:/usr/share/ansible/collections"
_FILE = "ansible.cfg"


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that Ansible gets in addition to the given ones."""
    path = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)])
    return {**_emptied(given), "PATH": path, **_PINNED, **_joined(given), **_utf8()}


def _emptied(given: Mapping[str, str]) -> dict[str, str]:
    """Empty values that are not UTF-8, which ansible-runner cannot write; jobs get their variables by another way."""
    odd = (name for name, value in given.items() if value != value.encode("utf-8", "replace").decode())
    return dict.fromkeys((name for name in odd if name != "HOME"), "")


def _joined(given: Mapping[str, str]) -> dict[str, str]:
    """Add the required values to the user's settings."""
    own = _read(config_file(given))

    def setting(name: str, section: str, key: str, usual: str) -> str:
        return given.get(name) or own.get(section, key, raw=True, fallback="") or usual

    collections = setting("ANSIBLE_COLLECTIONS_PATH", "defaults", "collections_path", _COLLECTIONS)
    plugins = setting("ANSIBLE_INVENTORY_ENABLED", "inventory", "enable_plugins", _INVENTORY_PLUGINS)
    if "@prompt" in setting("ANSIBLE_VAULT_IDENTITY_LIST", "defaults", "vault_identity_list", ""):
        # The prompt would be invisible, and Ansible would wait forever.
        message = "your Ansible settings ask for a vault password, which cannot be typed here"
        raise refused("USAGE", message, remedy="name a file: ANSIBLE_VAULT_PASSWORD_FILE=FILE")
    return {
        "ANSIBLE_COLLECTIONS_PATH": f"{_collection()}{os.pathsep}{collections}",
        "ANSIBLE_INVENTORY_ENABLED": f"{plugins},yaml",
        # Ansible's default would compress everything; required options are added to the user's.
        "ANSIBLE_SSH_ARGS": setting("ANSIBLE_SSH_ARGS", "ssh_connection", "ssh_args", ""),
    }


def _collection() -> str:
    """Find the collections path that contains this collection."""
    spec = importlib.util.find_spec("ansible_collections.madctl.multinode")
    if spec is None or not spec.submodule_search_locations:
        raise RunError(
            ExitCode.INTERNAL, Problem("COLLECTION_MISSING", "the collection is not installed", remedy="run make setup")
        )
    return str(Path(next(iter(spec.submodule_search_locations))).parents[2])


def config_file(given: Mapping[str, str] = os.environ) -> Path | None:
    """Find the settings file that Ansible reads: the first existing one, but not one in a world-writable directory."""
    named = given.get("ANSIBLE_CONFIG")
    places = [Path(named) / _FILE if Path(named).is_dir() else Path(named)] if named else []
    if not is_ignored():
        places.append(Path(_FILE))
    places += [Path.home() / f".{_FILE}", Path("/etc/ansible") / _FILE]
    return next((place for place in places if place.is_file() and os.access(place, os.R_OK)), None)


def unread(sources: Sequence[str], given: Mapping[str, str] = os.environ) -> list[str]:
    """Return settings files here, or beside an inventory, that Ansible does not read though users may expect it."""
    used = config_file(given)
    places = dict.fromkeys([Path(_FILE), *(Path(source).parent / _FILE for source in sources)])
    return [str(place) for place in places if place.is_file() and not (used and place.samefile(used))]


def is_ignored() -> bool:
    """Return whether Ansible ignores settings in the current directory, because it is world-writable."""
    try:
        return bool(Path().stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _read(path: Path | None) -> configparser.ConfigParser:
    found = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
    try:
        if path is not None:
            found.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        pass  # Ansible itself will report what is wrong with it.
    return found


# Run in a child: finding out in this process, which may have other threads, would change its locale.
_TELL_ENCODING = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.getlocale()[1])"


def _utf8() -> dict[str, str]:
    """Choose a locale if Ansible does not accept the user's: cron and batch systems often set C."""
    named = {name: value for name, value in os.environ.items() if name.startswith(("LC_", "LANG"))}
    if _is_utf8(tuple(sorted(named.items()))):
        return {}
    known = (name for name in ("C.UTF-8", "en_US.UTF-8") if _is_utf8((("LC_ALL", name),)))
    return {"LC_ALL": next(known, "C.UTF-8")}


@cache
def _is_utf8(named: tuple[tuple[str, str], ...]) -> bool:
    """Return whether the locale in some variables exists, and has an encoding that Ansible accepts."""
    argv = [sys.executable, "-I", "-S", "-c", _TELL_ENCODING]
    others = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**others, **dict(named)})
    return done.stdout.strip().lower() in ("utf-8", "utf8")
