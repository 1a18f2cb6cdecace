# SPDX-License-Identifier: Apache-2.0
"""The objects that a run or a check would create in a cluster; neither the cluster nor its client is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, pods
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import drafting
from ansible_collections.madctl.multinode.plugins.module_utils._request import run_ids, validation
from ansible_collections.madctl.multinode.plugins.module_utils._request.variables import PREFIX
from ansible_collections.madctl.multinode.plugins.module_utils._sync import code, packing
from madctl.errors import Problem, UsageError

_STR = "tag:yaml.org,2002:str"
# Some YAML parsers read other texts as numbers, dates or booleans.
_PLAIN = re.compile(r"[A-Za-z/_][A-Za-z0-9 ./_@-]+")

Draft = drafting.Draft


def draft(wanted: Mapping[str, Any], only: str | None = None) -> Draft:
    """
    Draft a run from the variables of a launch or of a check.

    Args:
        only: What the pods do instead of a launch.

    Raises:
        UsageError: If the script or the code cannot be sent, or every cluster would refuse an object.
    """
    asked = {name.removeprefix(PREFIX): value for name, value in wanted.items()}
    try:
        own = code.read(asked)
        asked, sent = (own.placed(asked), drafting.code(*own.told, packing.stream(own.tree))) if own else (asked, None)
        drafted = drafting.draft(asked, run_ids.new(), only, named=validation.as_option, code=sent)
    except Refused as refused:
        raise UsageError(_problem(refused.problem)) from refused
    found = drafting.problems(drafted, validation.as_option)
    if found:
        raise UsageError(*map(_problem, found))
    return drafted


def _problem(found: codes.Problem) -> Problem:
    return Problem(found["code"], found["message"], remedy=found["remedy"])


# -- as text ------------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Writes multi-line strings as blocks, and quotes strings that a YAML parser may read as another type."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write repeated objects in full."""
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    resolved: str = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    is_plain = _PLAIN.fullmatch(text) and resolved == _STR
    return dumper.represent_scalar(_STR, text, style="|" if "\n" in text else None if is_plain else '"')


_Dumper.add_representer(str, _text)


def written(drafted: Draft, with_secret: bool) -> str:
    """Return the objects as a stream of YAML for ``kubectl create -f``."""
    # kubectl apply would keep a copy in an annotation, which is too small for the programs.
    head = ["# Create these with kubectl create -f, or with kubectl apply --server-side -f."]
    if not with_secret:
        about = f"Secret {pods.name(drafted.parcel.run_id)}, which has the run's key and the values of --env,"
        head += [f"# The {about} is left out.", "# The pods wait for it. --with-secret prints it, too."]
    objects = drafted.objects(with_secret)
    text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, explicit_start=True, width=1 << 30)
    return "\n".join(head) + "\n" + text
