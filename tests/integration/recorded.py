# SPDX-License-Identifier: Apache-2.0
"""The recordings in the documents, held against what the same commands print now."""

import re

from docs.recordings import frames
from docs.recordings.scenes import SCENES
from tests.integration.reader_shell import missing

# Where the checkout was, how the job's own library tells its end, what status adds of that if it is known, and whether
# a node's part was stopped before it noticed the failure itself.
_LOOSE = (
    (r'File ".*/', 'File "…/'),
    (r"(: exit code 1)(: .*)?$", r"\1…"),
    (r"( logs \S+)( --rank 1)?$", r"\1…"),
    (r"( exited .* 1)( \(stopped\))?$", r"\1…"),
)


def compare(printed):
    """Expect each command of the recordings, and each line that madctl wrote in them, in what the demo printed."""
    for scene in SCENES:
        answers = frames.answers(scene.cast.read_text(encoding="utf-8"))
        # What the job prints depends on its libraries.
        shown = [*(f"$ {command}" for command in scene.typed), *(line for line in answers if "│" not in line)]
        assert len(shown) > 10
        for pattern, word in _LOOSE:
            shown = [re.sub(pattern, word, line) for line in shown]
        assert not missing(shown, printed), f"run make recordings: {scene.name}\n{missing(shown, printed)}\n{printed}"
