# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory from a host list, which ``hostlist`` parses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hostlist
short_description: An inventory of a host list such as gpu[01-16]
description:
  - Accepts hosts like the options C(--hosts) and C(--hostfile) of madctl. Their order is the order of ranks.
  - Sets C(madctl_node_rank), and C(madctl_slots), C(ansible_user) and C(ansible_port) if they are given.
  - What a host file says of one host becomes its C(madctl_python), C(madctl_interface) and C(madctl_env).
  - The name of the file must end in C(hostlist.yml) or C(hostlist.yaml).
author: The madctl authors
extends_documentation_fragment:
  - constructed
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [madctl.multinode.hostlist]
  hosts:
    description:
      - Hosts in the order of their ranks, as a list or as one string.
      - Each may be a name, a range such as V(gpu[01-16]) or V(gpu[1-8/2]), an IPv6 address, or V(user@host:port).
      - What follows a V(!) is left out, as in V(gpu[1-8]!gpu3).
    type: raw
    default: []
  hostfiles:
    description:
      - Host files, which come after O(hosts); paths are relative to this file.
      - A line is V(name), V(name slots=N) or V(name:N); the node files of PBS, LSF and SGE also work.
      - After the name, V(python=PATH), V(interface=NAME) and V(env.NAME=VALUE) are for this host alone.
    type: list
    elements: path
    default: []
  exclude:
    description:
      - Hosts to leave out of all of these, as a list or as one string. The order of the others stays.
      - A host that is not there is ignored, unless only its padding, case or domain differs from one that is.
    type: raw
    default: []
  user:
    description: User to log in as, unless the list names one.
    type: str
  port:
    description: SSH port, unless the list names one.
    type: int
  slots:
    description: Number of processes per node, unless the list says it.
    type: int
  group:
    description: Group that contains all hosts.
    type: str
    default: madctl_nodes
"""

EXAMPLES = r"""
# gpu.hostlist.yml: 16 nodes, one with its own user and port, and those of a host file for mpirun.
plugin: madctl.multinode.hostlist
hosts:
  - gpu[01-16]
  - trainer@192.0.2.12:2222
hostfiles:
  - more_hosts
user: admin
slots: 8
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable

from ansible_collections.madctl.multinode.plugins.module_utils._common.plain_text import reason
from ansible_collections.madctl.multinode.plugins.module_utils._request import exclusion, host_files, hostlist
from ansible_collections.madctl.multinode.plugins.plugin_utils._nodes.variables import plain


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Adds the hosts of a list."""

    NAME = "madctl.multinode.hostlist"

    def verify_file(self, path: str) -> bool:
        """Accept files by their extension."""
        return bool(super().verify_file(path)) and path.endswith(("hostlist.yml", "hostlist.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Read the file and add its hosts."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            hosts = self._hosts(Path(path).absolute().parent)
        except (hostlist.HostsError, OSError, UnicodeDecodeError) as error:
            raise AnsibleParserError("%s: %s" % (path, reason(error))) from error
        group = inventory.add_group(str(self.get_option("group")))
        for rank, host in enumerate(hosts):
            self._add(inventory, group, rank, host)

    def _hosts(self, directory: Path) -> list[hostlist.Host]:
        found = [host for text in self._texts("hosts") for host in hostlist.from_list(text)]
        for name in self.get_option("hostfiles"):
            place = directory / Path(str(name)).expanduser()
            found += host_files.from_lines(place.read_text(encoding="utf-8"), str(place))
        hosts = {host.name: host for host in hostlist.checked(found, "the list")}
        return [hosts[name] for name in exclusion.remaining(hosts, self._texts("exclude")).names]

    def _texts(self, option: str) -> list[str]:
        given = plain(self.get_option(option)) or []
        return [given] if isinstance(given, str) else [str(text) for text in given]

    def _add(self, inventory: Any, group: str, rank: int, host: hostlist.Host) -> None:
        name = inventory.add_host(host.name, group=group)
        variables = {
            "madctl_node_rank": rank,
            "madctl_slots": host.slots or self.get_option("slots"),
            "ansible_user": host.user or self.get_option("user"),
            "ansible_port": host.port or self.get_option("port"),
            "madctl_python": host.python,
            "madctl_interface": host.interface,
            "madctl_env": dict(host.env) or None,
        }
        for key, value in variables.items():
            if value is not None:
                inventory.set_variable(name, key, value)
        strict, everything = self.get_option("strict"), inventory.get_host(name).get_vars()
        self._set_composite_vars(self.get_option("compose"), everything, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), everything, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), everything, name, strict=strict)
