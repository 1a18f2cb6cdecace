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
extends_documentation_fragment:
  - madctl.multinode.request.probe
options:
  mpi:
    description: Whether to find out which mpirun it is.
    type: bool
    default: true
  port:
    description: Number of the rendezvous port to try, or V(auto).
    type: str
    default: auto
  mirror:
    description: Directory that madengine mirrors data to; it is added to O(shared_paths).
    type: str
  run_dir:
    description: Parent of the run directories.
    type: str
  start_timeout:
    description: Seconds that O(setup) may take.
    type: float
    default: 60
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
  returned: success
  type: dict
  sample: {hostname: gpu01, ifconfig: /usr/sbin/ifconfig}
problem:
  description: Why there are no facts, with C(code), C(host), C(message) and C(remedy).
  returned: failure
  type: dict
  sample: {code: HOST_UNREACHABLE, host: gpu01}
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
