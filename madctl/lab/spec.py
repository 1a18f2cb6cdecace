# SPDX-License-Identifier: Apache-2.0
"""The parts of a lab: names, addresses and the texts of its files. Nothing here has effects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._request import kinds
from ansible_collections.madctl.multinode.plugins.module_utils._show.names import fold
from madctl.errors import refused

MANAGEMENT = "eno1"
DATA = "ens14np0"
MAX_HOSTS = 240
# The path of the shared directory on all hosts, whatever its path on this machine.
SHARED = "/shared"
_FIRST_HOST_OCTET = 11
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")


@dataclass(frozen=True)
class Host:
    """One host: killing the process ``pid`` is a power failure; it is 0 before the start."""

    name: str
    management_address: str
    data_address: str
    data_interface: str = DATA
    pid: int = 0
    init_pid: int = 0


@dataclass(frozen=True)
class Mount:
    """A directory of this machine that is mounted at the same path in hosts."""

    path: str
    read_only: bool = False


@dataclass(frozen=True)
class Lab:
    """
    A lab: ``index`` is the third octet of both its networks, ``boot_id`` that of the machine.

    ``shared`` is the writable directory that all hosts share: its path on this machine, which hosts see as well.
    """

    name: str
    index: int
    boot_id: str
    switch_pid: int = 0
    hosts: tuple[Host, ...] = field(default_factory=tuple)
    shared: str = ""
    mounts: tuple[Mount, ...] = ()

    @property
    def uplink(self) -> str:
        """The login side's link into the management network."""
        return uplink(self.index)

    @property
    def gateway(self) -> str:
        """The login side's address in the management network."""
        return f"10.81.{self.index}.1"

    def host(self, name: str) -> Host:
        """
        Find a host by its name.

        Raises:
            UsageError: If the lab has no such host; the remedy lists its hosts.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        names = [host.name for host in self.hosts]
        remedy = kinds.meant(name, names) or f"it has {fold(names)}"
        raise refused("LAB_HOST_UNKNOWN", f"lab {self.name} has no host {name!r}", remedy=remedy)


def uplink(index: int) -> str:
    """Name the login side's link into the management network of a lab."""
    return f"mlab{index}"


def check_name(name: str) -> None:
    """
    Check a lab's name, which becomes part of paths.

    Raises:
        UsageError: If it holds anything but lower-case letters, digits and inner hyphens.
    """
    if not _NAME.fullmatch(name):
        remedy = "use up to 20 lower-case letters, digits and hyphens"
        raise refused("LAB_NAME_INVALID", f"invalid lab name {name!r}", remedy=remedy)


def plan_hosts(count: int, index: int, interface_names: dict[str, str]) -> tuple[Host, ...]:
    """
    Name and number the hosts of a lab.

    Args:
        count: Number of hosts, 1 to 240.
        index: Third octet of the lab's networks.
        interface_names: Data interface by host, where it is not ``ens14np0``.

    Raises:
        UsageError: If the count is out of range, or a host or the name of an interface is invalid.
    """
    if not 1 <= count <= MAX_HOSTS:
        raise refused("LAB_SIZE_INVALID", f"a lab has 1 to {MAX_HOSTS} hosts, not {count}")
    names = [f"node{number}" for number in range(1, count + 1)]
    for host, interface in interface_names.items():
        if host not in names:
            raise refused("LAB_HOST_UNKNOWN", f"--interface-name: no host {host!r} among {count}")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{2,15}", interface) or interface in {"lo", "docker0", MANAGEMENT}:
            raise refused("LAB_INTERFACE_INVALID", f"--interface-name: {interface!r} cannot be used", host)
    return tuple(
        Host(
            name=name,
            management_address=f"10.81.{index}.{octet}",
            data_address=f"10.82.{index}.{octet}",
            data_interface=interface_names.get(name, DATA),
        )
        for octet, name in enumerate(names, start=_FIRST_HOST_OCTET)
    )


def hosts_file(lab: Lab, own_name: str) -> str:
    """Write one host's /etc/hosts: loopback, then every host by its management address, and names for all addresses."""
    own = f"# this host is {own_name}\n"
    peers = "".join(f"{host.management_address} {host.name}\n" for host in lab.hosts)
    # Name data addresses for software that looks them up, also as IPv4-mapped IPv6 addresses, which torch asks for.
    data = "".join(f"{host.data_address} {host.name}-data\n" for host in lab.hosts)
    mapped = "".join(
        f"::ffff:{host.data_address} {host.name}-data\n::ffff:{host.management_address} {host.name}-management\n"
        for host in lab.hosts
    )
    return f"{own}127.0.0.1 localhost\n::1 localhost ip6-localhost\n{peers}{data}{mapped}"


def switch_commands(lab: Lab) -> str:
    """Write the ``ip -batch`` lines that wire all hosts to two bridges inside the switch namespace."""
    lines = ["link set lo up"]
    lines += [f"link add {bridge} type bridge\nlink set {bridge} up" for bridge in ("management", "data")]
    lines += ["link set uplink master management", "link set uplink up"]
    for number, host in enumerate(lab.hosts, start=1):
        for bridge, inner in (("management", MANAGEMENT), ("data", host.data_interface)):
            port = f"{bridge[0]}{number}"
            lines.append(f"link add {port} type veth peer name {inner} netns {host.pid}")
            lines.append(f"link set {port} master {bridge}")
            lines.append(f"link set {port} up")
    return "\n".join(lines) + "\n"


def host_commands(host: Host) -> str:
    """Write the ``ip -batch`` lines that a host runs to configure its own interfaces."""
    return (
        "link set lo up\n"
        f"addr add {host.management_address}/24 dev {MANAGEMENT}\n"
        f"link set {MANAGEMENT} up\n"
        f"addr add {host.data_address}/24 dev {host.data_interface}\n"
        f"link set {host.data_interface} up\n"
        # The same address on every host, like Docker's default bridge: a trap for programs that guess their interface.
        "link add docker0 type bridge\n"
        "addr add 172.17.0.1/16 dev docker0\n"
        "link set docker0 up\n"
    )


def ssh_config(lab: Lab, directory: str) -> str:
    """Write an OpenSSH client configuration that reaches every host by name."""
    hosts = "".join(f"Host {host.name}\n  HostName {host.management_address}\n" for host in lab.hosts)
    return (
        f"{hosts}"
        f"Host {' '.join(host.name for host in lab.hosts)}\n"
        "  User root\n"
        f"  IdentityFile {directory}/id_ed25519\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {directory}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
    )


def inventory(lab: Lab, directory: str) -> str:
    """Write the lab as an Ansible inventory, in rank order."""
    content = {
        "all": {
            "hosts": {host.name: {"madctl_node_rank": rank} for rank, host in enumerate(lab.hosts)},
            "vars": {
                "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_common_args": f"-F {directory}/ssh_config",
                # Connections that outlive a command end with the lab, not with the user's home.
                "ansible_control_path_dir": f"{directory}/cp",
            },
        }
    }
    return yaml.safe_dump(content, sort_keys=False)
