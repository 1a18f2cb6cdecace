# SPDX-License-Identifier: Apache-2.0
"""
The variables of the playbooks: find misspelled ones, and word remedies with them instead of madctl's options.

Pure; private to the collection.
"""

from __future__ import annotations

import re
from typing import Iterable, List, Match, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import catalog
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds, variables

NAMES = frozenset(row.variable for row in variables.TABLE if not row.is_internal)
INTERNAL = frozenset(row.variable for row in variables.TABLE if row.is_internal)
_WORDS = sorted({*catalog.SKIPPABLE, *(word for row in variables.TABLE for word in row.kind.choices)})
# A value is written in capitals, as in a usage line, or is one of the words that an option accepts.
_OPTION = re.compile(r"(--[a-z][a-z-]+)(?:[ =]([A-Z]+(?::ro)?|%s)\b)?" % "|".join(map(re.escape, _WORDS)))
_VERB = re.compile(
    r"\bmadctl (check|collect|gc|launch|logs|ps|status|stop)\b(?: (RUN|[0-9]{8}-[0-9]{6}-\w+(?:\.\d+)?))?"
    r"(?: --(host|rank) ([\w.:-]*\w))?"
)
# Tags of tasks that run only with this value of ``on``.
_ON = {"kubernetes": "k8s", "slurm": "slurm"}
# The playbooks' names for the parts of a run.
_PART = {"host": " --limit %s", "rank": " -e madctl_show_ranks=%s"}


def in_words_of_playbooks(text: str) -> str:
    """Rewrite a remedy that names options and commands of madctl with the variables and playbooks instead."""
    return _OPTION.sub(_variable, _VERB.sub(_playbook, text))


def _variable(match: Match[str]) -> str:
    option, value = match.groups()
    row = variables.BY_OPTION.get(option)
    form = variables.OF_INVENTORY.get(option) or (row and (row.told or row.variable + ": {}"))
    if not form:
        return match.group(0)
    if ":" in form and "{}" not in form:
        return form + (" " + value if value else "")
    return form.replace("{}", value) if value else form.partition(":")[0]


def _playbook(match: Match[str]) -> str:
    verb, run_id, part, name = match.groups()
    words = "ansible-playbook madctl.multinode.%s" % verb
    words += " -e madctl_run_id=%s" % run_id if run_id else ""
    return words + (_PART[part] % name if part else "")


def unknown(names: Iterable[str]) -> List[Problem]:
    """Find names with our prefix that do not exist, each with the name that was probably meant."""
    prefix = variables.PREFIX
    wrong = sorted({name for name in names if name.startswith(prefix)} - NAMES - INTERNAL)
    known = [name[len(prefix) :] for name in NAMES]
    return [
        problem("VARIABLE_UNKNOWN", None, "there is no variable %s" % name, _meant(name[len(prefix) :], known, prefix))
        for name in wrong
    ]


def unknown_tags(typed: Iterable[str], known: Iterable[str]) -> List[Problem]:
    """Find tags that no task of a playbook has, each with the tag that was probably meant."""
    wrong = sorted(set(typed) - set(known) - {"all", "always", "never", "tagged", "untagged"})
    return [problem("TAG_UNKNOWN", None, *_why(tag, known)) for tag in wrong]


def _why(tag: str, known: Iterable[str]) -> Tuple[str, str]:
    on = _ON.get(tag)
    if on:
        return "tasks with the tag %s run only with %son=%s" % (tag, variables.PREFIX, on), "leave the tag out"
    return "no task has the tag %s" % tag, _meant(tag, known)


def _meant(word: str, known: Iterable[str], prefix: str = "") -> str:
    close = kinds.meant(word, known, prefix + "%s")
    return close or "known: " + ", ".join(prefix + name for name in sorted(known))
