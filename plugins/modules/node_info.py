#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Report the facts of a node in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Report the facts of a node in one round trip
description:
  - Reads interfaces from C(ifconfig), routes, mounts, GPUs, the master port, the job's Python and files.
  - Returns facts without judging them, and changes nothing on the node.
author: The madctl authors
options:
  work:
    description: Words of the command, as for M(madctl.multinode.rendezvous).
    type: list
    elements: raw
    default: []
  shape:
    description: V(script) runs ranks, V(command) a command once per node, V(model) models of madengine.
    type: str
    choices: [script, command, model]
    default: script
  tags:
    description: Tags of the models that madengine runs; with O(shape=model).
    type: list
    elements: str
    default: []
  python:
    description: Absolute path of the job's Python.
    type: str
  mpirun:
    description: Absolute path of mpirun; by default the one beside the job's Python, or on the search path.
    type: str
  mpi:
    description: Whether to find out which mpirun it is.
    type: bool
    default: true
  chdir:
    description: Working directory of the job.
    type: str
  port:
    description: Number of the rendezvous port to try, or V(auto).
    type: str
    default: auto
  shared_paths:
    description: Paths whose mounts are reported.
    type: list
    elements: str
    default: []
  shared_fstypes:
    description: File-system types to treat as shared, besides the known ones.
    type: list
    elements: str
    default: []
  mirror:
    description: Directory that madengine mirrors data to; it is added to O(shared_paths).
    type: str
  run_dir:
    description: Parent of the run directories.
    type: str
  env:
    description: Environment variables of the job; only those that affect what it finds are sent to the node.
    type: dict
    default: {}
  write:
    description: Whether files are written on shared storage for a later proof.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Inspect every node
  madctl.multinode.node_info:
    shared_paths:
      - /nfs
  register: node
"""

RETURN = r"""
node:
  description: The facts, among them C(interfaces), C(gpus), C(mounts), C(port), C(python).
  returned: always
  type: dict
  sample: {hostname: gpu01, ifconfig: /usr/sbin/ifconfig}
ssh_extra_args:
  description: Extra arguments of ssh that later modules on this node need too.
  returned: when the node is reached with ssh
  type: str
  sample: -o ServerAliveInterval=3
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.madctl.multinode.plugins.module_utils._probe import node_facts


def main() -> None:
    """Collect and report."""
    module = AnsibleModule(argument_spec=node_facts.ARGUMENTS, supports_check_mode=True)
    module.exit_json(**node_facts.node_info(module.params))


if __name__ == "__main__":
    main()
