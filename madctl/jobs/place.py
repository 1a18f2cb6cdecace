# SPDX-License-Identifier: Apache-2.0
"""The directory of a job, and its submission: the collection's functions, with errors of madctl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._job import delivery
from ansible_collections.madctl.multinode.plugins.module_utils._submit import place, programs, submission
from ansible_collections.madctl.multinode.plugins.module_utils._sync import code, keeping
from madctl.jobs.refusals import reported

Draft = submission.Draft
Story = place.Story
planned, read, remove, write, write_object = place.planned, place.read, place.remove, place.write, place.write_object
code_of = reported(code.read)
in_job, submit, test = submission.in_job, reported(submission.submit), reported(submission.test)
submitted = submission.submitted


@reported
def draft(base: Path, run_id: str, nodes: int, chosen: Sequence[str]) -> Draft:
    """
    Draft what would be submitted.

    Raises:
        UsageError: If a job cannot write its output there.
    """
    return submission.draft(place.checked(base), run_id, nodes, chosen)


def script(drafted: Draft) -> str:
    """Return the script of a job."""
    return place.script(drafted.place, programs.name(delivery.files()))


@reported
def prepare(
    drafted: Draft,
    arguments: dict[str, Any],
    more: Mapping[str, object] = MappingProxyType({}),
    own: code.Code | None = None,
) -> None:
    """
    Make the directory of a job, with all files that the job reads.

    Args:
        more: Additional facts for the job.
        own: The user's code, if it is sent.

    Raises:
        UsageError: If that is not possible in this place.
    """
    files = delivery.files()
    if own is None:
        submission.write(drafted, arguments, files, programs.name(files), more)
        return
    kept = {"code": {**own.about, "trees": str(drafted.place)}}
    submission.write(drafted, own.placed(arguments), files, programs.name(files), {**more, **kept})
    try:
        keeping.keep(own.tree, str(drafted.place))
    except (OSError, Refused) as error:
        remove(drafted.place)
        if isinstance(error, Refused):
            raise
        message = f"the code cannot be kept in {drafted.place}: {reason(error)}"
        raise Refused("RUN_DIR_UNWRITABLE", message, "free space there, or choose another --run-root") from error
