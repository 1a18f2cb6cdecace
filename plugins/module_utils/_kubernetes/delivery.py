# SPDX-License-Identifier: Apache-2.0
"""Our programs for a pod: the one that it starts, and a parcel with all others. Private to the collection."""

from __future__ import annotations

import io
import zipfile

from ansible_collections.madctl.multinode.plugins.module_utils._job import delivery
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources

_BOOT = "_job.madctl_pod"
# The earliest time in the zip format, so that the same programs give the same bytes.
_WHEN = (1980, 1, 1, 0, 0, 0)


def pod_program() -> str:
    """Return the text of the program that a pod starts."""
    return own_sources.text(_BOOT)


def programs() -> bytes:
    """Return the parcel, a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as parcel:
        for path, text in sorted(delivery.files(delivery.IN_POD).items()):
            parcel.writestr(zipfile.ZipInfo(path, _WHEN), text, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
