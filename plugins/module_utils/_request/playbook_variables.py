# SPDX-License-Identifier: Apache-2.0
"""
The variables of the playbooks: their names, and remedies in their words instead of madctl's options.

Data and pure functions; private to the collection.
"""

from __future__ import annotations

import difflib
import re
from typing import Dict, Iterable, List, Match

from ansible_collections.madctl.multinode.plugins.module_utils._common import runners
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem

PREFIX = "madctl_"
NAMES = frozenset(
    PREFIX + name
    for name in [
        "additional_context",
        "allow_run_as_root",
        "become",
        "chdir",
        "days",
        "dest",
        "detach",
        "dry_run",
        "env",
        "follow",
        "force_mirror_local",
        "gpus",
        "grace",
        "idle_timeout",
        "install",
        "interface",
        "log_cap",
        "master_addr",
        "master_port",
        "max_restarts",
        "max_size",
        "mpi_args",
        "mpirun",
        "nnodes",
        "node_rank",
        "nproc_per_node",
        "only",
        "python",
        "replace_containers",
        "run_dir",
        "run_id",
        "runner",
        "shape",
        "shared_fstypes",
        "shared_paths",
        "since",
        "skip",
        "slots",
        "start_timeout",
        "tags",
        "timeout",
        "work",
    ]
)
# What madctl itself hands over; nobody types these.
INTERNAL = frozenset(
    PREFIX + name
    for name in [
        *("bases", "chdir_required", "event_socket", "keep_ways", "plan", "proof", "python_required", "read_only"),
        "ssh_args",
    ]
)

# Options whose variable has another name or takes more than the bare value; {} is the value.
_OTHERWISE: Dict[str, str] = {
    "accept-new-host-keys": "ansible_ssh_common_args: -o StrictHostKeyChecking=accept-new",
    "allow-run-as-root": "madctl_allow_run_as_root: true",
    "command": "madctl_shape: command",
    "hostfile": "the inventory",
    "hosts": "the inventory",
    "no-install": "madctl_install: false",
    "port": "ansible_port",
    "replace-containers": "madctl_replace_containers: ['{}']",
    "shared-fstype": "madctl_shared_fstypes: [{}]",
    "shared-path": "madctl_shared_paths: [{}]",
    "skip": "madctl_skip: [{}]",
    "ssh-config": "ansible_ssh_common_args: -F {}",
    "user": "ansible_user",
}
_SWITCHES = ("accept-new-host-keys", "allow-run-as-root", "command", "no-install")
# A value stands in capitals, as in a usage line, or is one of these words.
_WORDS = "|".join(("min", "per-node", "machine", "names", *runners.names()))
_OPTION = re.compile(r"--([a-z][a-z-]+)(?:[ =]([A-Z]+(?::ro)?|%s)\b)?" % _WORDS)
_VERB = re.compile(
    r"\bmadctl (check|collect|gc|launch|logs|ps|status|stop)\b(?: (RUN|[0-9]{8}-[0-9]{6}-\w+(?:\.\d+)?))?"
)


def in_words_of_playbooks(text: str) -> str:
    """Write a remedy that names options and commands of madctl with the variables and playbooks instead."""
    return _VERB.sub(_playbook, _OPTION.sub(_variable, text))


def _variable(match: Match[str]) -> str:
    option, value = match.group(1), match.group(2)
    name = PREFIX + option.replace("-", "_")
    if option not in _OTHERWISE and name not in NAMES:
        return match.group(0)
    if option in _SWITCHES:
        return _OTHERWISE[option] + (" " + value if value else "")
    form = _OTHERWISE.get(option, name + ": {}")
    return form.replace("{}", value) if value else form.partition(":")[0]


def _playbook(match: Match[str]) -> str:
    words = "ansible-playbook madctl.multinode." + match.group(1)
    return words + (" -e madctl_run_id=" + match.group(2) if match.group(2) else "")


def unknown(names: Iterable[str]) -> List[Problem]:
    """Find names that begin like ours and do not exist, each with the name that was perhaps meant."""
    wrong = sorted({name for name in names if name.startswith(PREFIX)} - NAMES - INTERNAL)
    known = [name[len(PREFIX) :] for name in NAMES]
    return [
        problem("VARIABLE_UNKNOWN", None, "there is no variable %s" % name, _meant(name[len(PREFIX) :], known, PREFIX))
        for name in wrong
    ]


def unknown_tags(typed: Iterable[str], known: Iterable[str]) -> List[Problem]:
    """Find tags that no task of a playbook has, each with the tag that was perhaps meant."""
    wrong = sorted(set(typed) - set(known) - {"all", "always", "never", "tagged", "untagged"})
    return [problem("TAG_UNKNOWN", None, "no task has the tag %s" % tag, _meant(tag, known)) for tag in wrong]


def _meant(word: str, known: Iterable[str], prefix: str = "") -> str:
    ordered = sorted(known)
    close = difflib.get_close_matches(word, ordered, 1)
    if close:
        return "did you mean %s%s?" % (prefix, close[0])
    return "there are " + ", ".join(prefix + name for name in ordered)
