# SPDX-License-Identifier: Apache-2.0
"""The page beside the files that ``madctl collect`` fetched."""

from __future__ import annotations

import os
from collections.abc import Sequence

from madctl.errors import MadctlError, Problem, RunError, unexpected
from madctl.records.run_record import Record
from madctl.report import gathering, page, writing
from madctl.screen import terminal

NAME = "report" + writing.SUFFIX


def write(record: Record, directory: str, silent: Sequence[str] = ()) -> tuple[str | None, list[Problem]]:
    """
    Write a page into a directory; return its path, or why it could not be written, which stops nothing.

    Args:
        silent: Nodes that just failed to answer.
    """
    try:
        place = writing.place(os.path.join(directory, NAME))
        if not writing.is_replaced(place, record.run_id):
            message = f"{place} exists and is not from this run"
            return None, [Problem("DEST_IN_USE", message, remedy="madctl report --to FILE writes it elsewhere")]
        writing.write(place, page.render(gathering.gather(record, silent)))
    except RunError:
        raise  # interrupted
    except MadctlError as error:
        return None, list(error.problems)
    except Exception as error:  # noqa: BLE001  the collected files exist nevertheless, and must be reported
        terminal.trace(error)
        return None, [unexpected(error)]
    return place, []
