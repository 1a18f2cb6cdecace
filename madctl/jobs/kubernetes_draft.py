# SPDX-License-Identifier: Apache-2.0
"""What a run, or a check, would put into a cluster: drafted and written here, without the cluster or its client."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import pods
from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem as Found
from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import limits, manifests
from ansible_collections.madctl.multinode.plugins.module_utils._request import kubernetes_words, run_ids, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from madctl.errors import Problem, UsageError, refused

_KEY_BYTES = 32
_SEND = "--send-script"
_STR = "tag:yaml.org,2002:str"
# Of other texts, some reader of YAML makes a number, a date or a truth value.
_PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9 ./_@-]+")


class Draft(NamedTuple):
    """A run that is not created yet: its arguments by the names of the table of options, and what its pods get."""

    asked: Mapping[str, Any]
    parcel: manifests.Parcel

    def objects(self, with_secret: bool = True) -> list[manifests.Manifest]:
        """Return its objects in the order in which they are created."""
        return manifests.objects(self.asked, self.parcel, with_secret)


def draft(wanted: Mapping[str, Any], only: str | None = None) -> Draft:
    """
    Draft a run from the variables of a launch or of a check.

    Args:
        only: What the pods do instead of a launch.

    Raises:
        UsageError: If the script cannot be sent, or something is too large for a cluster.
    """
    from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import delivery

    asked = {name.removeprefix(PREFIX): value for name, value in wanted.items()}
    run_id, script = run_ids.new(), None
    if asked.get("k8s_send_script"):
        path, script = _script(asked)
        words = kubernetes_words.with_script(asked["work"], path, f"{pods.PROGRAMS}/{script[0]}")
        asked["work"] = words
    request = {
        "arguments": kubernetes_words.in_pods(asked, run_id),
        "agents_seconds": manifests.agents_seconds(asked),
        **({"only": only} if only else {}),
    }
    data, key = json.dumps(request).encode(), secrets.token_bytes(_KEY_BYTES)
    parcel = manifests.Parcel(run_id, key, data, delivery.pod_program(), delivery.programs(), script)
    drafted = Draft({**asked, "run_id": run_id}, parcel)
    _refuse(limits.problems(drafted.asked, validation.as_option))
    _refuse(limits.sizes(drafted.objects(), validation.as_option))
    return drafted


def _refuse(found: Sequence[Found]) -> None:
    if found:
        raise UsageError(*(Problem(one["code"], one["message"], remedy=one["remedy"]) for one in found))


def _script(asked: Mapping[str, Any]) -> tuple[str, tuple[str, bytes]]:
    """Read the script; return its path as it was typed, and its name and bytes."""
    path = kubernetes_words.script(asked.get("work") or [], asked["shape"])
    if path is None:
        raise refused("USAGE", f"{_SEND} needs a script that Python or a shell runs", remedy="write: -- train.py")
    name = os.path.basename(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read(limits.SCRIPT_BYTES + 1)
    except OSError as error:
        remedy = "leave it out if the image has it"
        raise refused("USAGE", f"{_SEND}: {path}: {reason(error)}", remedy=remedy) from error
    why, remedy = limits.script(name, data)
    if why:
        raise refused("USAGE", f"{_SEND}: {path} {why}", remedy=remedy)
    return path, (name, data)


# -- as text ------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and every text so that all readers of YAML take it for one."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what is used twice in full."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    resolved: str = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    is_plain = _PLAIN.fullmatch(text) and resolved == _STR
    return dumper.represent_scalar(_STR, text, style="|" if "\n" in text else None if is_plain else '"')


_Dumper.add_representer(str, _text)


def written(drafted: Draft, with_secret: bool) -> str:
    """Return the objects as a stream of YAML for ``kubectl create -f``."""
    # kubectl apply would keep a copy in an annotation, which has no room for the programs.
    head = ["# Create these with kubectl create -f, or with kubectl apply --server-side -f."]
    if not with_secret:
        about = f"Secret {pods.name(drafted.parcel.run_id)}, which has the run's key and the values of --env,"
        head += [f"# The {about} is left out.", "# The pods wait for it. --with-secret prints it, too."]
    objects = drafted.objects(with_secret)
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1 << 30)
    return "\n".join(head) + "\n" + text
