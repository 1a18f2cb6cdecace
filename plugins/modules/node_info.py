#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Report what a node is and has, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Report what a node is and has, in one round trip
description:
  - Reads interfaces from C(ifconfig), routes, mounts, GPUs, the master port, the job's Python and files.
  - Returns facts and never judges them; nothing on the node is changed.
author: The madctl authors
options:
  work:
    description: The user's words, as for M(madctl.multinode.rendezvous).
    type: list
    elements: raw
    default: []
  shape:
    description: Whether torchrun starts the work or it is executed once a node.
    type: str
    choices: [script, command, model]
    default: script
  tags:
    description: Tags of the models that madengine is to run; with O(shape=model).
    type: list
    elements: str
    default: []
  python:
    description: Absolute path of the Python that is to run the job.
    type: str
  mpirun:
    description: Absolute path of mpirun; by default one beside the job's Python, else the one on the search path.
    type: str
  mpi:
    description: Whether to ask mpirun what it is.
    type: bool
    default: true
  chdir:
    description: Working directory of the job.
    type: str
  port:
    description: Master port to try, or V(auto).
    type: str
    default: auto
  shared_paths:
    description: Paths whose mounts are to be reported.
    type: list
    elements: str
    default: []
  shared_fstypes:
    description: Types of file systems that count as shared beside the known ones.
    type: list
    elements: str
    default: []
  mirror:
    description: Where models are mirrored to; it is added to O(shared_paths).
    type: str
  run_dir:
    description: Directory that run directories are made in.
    type: str
  env:
    description: Variables of the job; only those that decide what it finds are sent to the node.
    type: dict
    default: {}
  write:
    description: Whether files are written on shared storage for a proof that follows.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Look at every node
  madctl.multinode.node_info:
    shared_paths:
      - /nfs
  register: node
"""

RETURN = r"""
node:
  description: The facts; among them C(interfaces), C(gpus), C(mounts), C(port), C(python).
  returned: always
  type: dict
  sample: {hostname: gpu01, ifconfig: /usr/sbin/ifconfig}
ssh_extra_args:
  description: The last arguments of ssh, which any further module on this node needs as well.
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
