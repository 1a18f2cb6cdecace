# SPDX-License-Identifier: Apache-2.0
"""Judge an additional context and the other options of models. Pure; private to the collection."""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import filesystems
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem, problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.raw_words import unpack
from ansible_collections.madctl.multinode.plugins.module_utils._plan.case import Case, Choices
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners.madengine import RANKS, majors, merge


def judge(case: Case, _: Choices) -> List[Problem]:
    """Return what the options would break, and which of the user's values have no effect."""
    request, is_first = case.request, set(majors(case.facts)) != {2}
    own, mirror = merge(request.additional_context, is_first), request.force_mirror_local
    found = overridden(own)
    if is_first:
        each = [request.env, *(had.get("env", {}) for had in request.own.values())]
        for env in each:
            more = unsafe(own, request.tags, mirror, {name: unpack(value) for name, value in env.items()})
            found += [entry for entry in more if entry not in found]
    shared = [mount["path"] for mount in case.facts[0]["mounts"]] if request.wants("storage") else []
    if mirror and not any(filesystems.is_below(mirror, path) for path in shared):
        found.append(problem("MIRROR_UNPROVEN", None, "%s is not on shared storage that is checked" % mirror))
    return found


def overridden(context: Dict[str, Any]) -> List[Problem]:
    """Report which of the user's own values are used, and which are not."""
    own = context.get("multi_node_args") or {}
    found = [
        problem("CONTEXT_REPLACED", None, "%s of the additional context is set by madctl" % key)
        for key in RANKS
        if key in own
    ]
    kept = ", ".join(sorted(set(own) - set(RANKS)))
    if kept:
        found.append(problem("CONTEXT_KEPT", None, "%s of the additional context is used as given" % kept))
    return found


def unsafe(own: Dict[str, Any], tags: Sequence[str], mirror: Optional[str], env: Dict[str, Any]) -> List[Problem]:
    """
    Find values that version 1 would paste into a shell line so that they break it, or change its meaning.

    It puts values of variables in single quotes, and mounts and names of images in no quotes. Arguments of the model's
    script are in double quotes, in which the node's shell substitutes commands.
    """
    quoted = [(name, value) for name, value in env.items() if "MAD_SECRETS" in name or name == "BUILD_NUMBER"]
    variables = [(key, own.get(key)) for key in ("docker_env_vars", "docker_build_arg", "multi_node_args")]
    variables += [("tools", tool.get("env_vars")) for tool in _dicts(own.get("tools"))]
    named = [
        ("%s of %s" % (shown(name), key), name, value) for key, given in variables for name, value in _items(given)
    ]
    quoted += [(where, value) for where, _, value in named]
    bare = [("the name of %s" % where, name) for where, name, _ in named]
    bare += [
        ("%s of docker_mounts" % shown(name), "%s:%s" % (value, name))
        for name, value in _items(own.get("docker_mounts"))
    ]
    bare += [("docker_cpus", str(own.get("docker_cpus", "")).replace(" ", ""))]
    bare += [(key, own.get(key, "")) for key in ("MAD_CONTAINER_IMAGE", "SHM_SIZE")]
    bare += [("--force-mirror-local", mirror or "")]
    inner = [("tag %s" % shown(tag), tag) for tag in tags]
    inner += [(key, own.get(key, "")) for key in ("model_args", "encapsulate_script")]
    scripts = [(key, script) for key in ("pre_scripts", "post_scripts", "tools") for script in _dicts(own.get(key))]
    inner += [(key, script.get(part, "")) for key, script in scripts for part in ("path", "args", "cmd")]
    return [
        problem("CONTEXT_UNSAFE", None, "%s holds %s, which version 1 of madengine cannot pass on" % (where, what))
        for what, is_safe, values in (
            ("an apostrophe", _QUOTED, quoted),
            ("characters that a shell interprets", _PLAIN, bare),
            ("characters that end or escape its quotes", _is_quotable, inner),
        )
        for where, value in values
        if not is_safe(str(value))
    ]


_QUOTED = re.compile(r"[^'\0]*\Z").match
_PLAIN = re.compile(r"[\w@%+=:,./~$-]*\Z").match
_ESCAPING = re.compile(r"(?<!\\)(?:\\\\)*(?:\"|`|\$\()|\0|\n")


def _is_quotable(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return not _ESCAPING.search(text)


def _items(value: Any) -> Iterable[Tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else ()


def shown(name: Any) -> str:
    """Return a name in printable form."""
    return str(name) if str(name).isprintable() and name else repr(name)


def _dicts(value: Any) -> List[Dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
