# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules about runs in a Kubernetes cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """Parts of documentation; the fragment is named after its file."""

    DOCUMENTATION = r"""
requirements:
  - kubernetes (Python package)
options:
  kubeconfig:
    description: Path of the kubeconfig, on the machine that Ansible runs on. By default the usual one.
    type: str
  context:
    description: Context of the kubeconfig. By default its current one.
    type: str
  namespace:
    description: Namespace of the run. By default that of the context.
    type: str
"""
