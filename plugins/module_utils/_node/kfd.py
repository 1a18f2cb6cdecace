# SPDX-License-Identifier: Apache-2.0
"""
Read from sysfs which GPUs the AMD compute driver (KFD) knows. Delivered beside the supervisor; private.

Format: https://docs.kernel.org/gpu/amdgpu, KFD's topology.
"""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple

from ansible_collections.madctl.multinode.plugins.module_utils._node import procfs, small_files

PLACE = "sys/class/kfd/kfd"


class Gpu(NamedTuple):
    """A GPU: its directory in the topology, and its properties there."""

    path: str
    properties: Dict[str, str]

    @property
    def minor(self) -> str:
        """The number of its render device; empty if it has none."""
        minor = self.properties.get("drm_render_minor", "")
        return "" if minor in ("0", "-1") or not minor.isdigit() else minor

    @property
    def identity(self) -> str:
        """The number by which KFD knows it; empty if it cannot be read."""
        return small_files.text(os.path.join(self.path, "gpu_id")) or ""


def gpus(root: str = "/") -> List[Gpu]:
    """Return the GPUs, in the order in which programs count them."""
    place = os.path.join(root, PLACE, "topology/nodes")
    nodes = [os.path.join(place, str(number)) for number in procfs.numbered(place)]
    known = [Gpu(node, _properties(node)) for node in nodes]
    # A node with SIMD units is a GPU; nodes without are processors.
    found = [gpu for gpu in known if gpu.properties.get("simd_count", "0") != "0"]
    # An integrated GPU is for the screen if there are others; it counts only if it is the only one.
    return [gpu for gpu in found if gpu.properties.get("cpu_cores_count", "0") == "0"] or found


def _properties(node: str) -> Dict[str, str]:
    lines = [line.split(None, 1) for line in (small_files.text(os.path.join(node, "properties")) or "").splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}
