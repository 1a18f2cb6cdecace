# SPDX-License-Identifier: Apache-2.0
"""The network of a lab on this machine: a free range of addresses, its switch, its link to the login side."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Collection
from ipaddress import ip_network

from madctl.errors import refused
from madctl.lab import spec
from madctl.lab.spec import Lab

BOOT_SECONDS = 30


def free_index(used: Collection[int]) -> int:
    """
    Find the third octet of two networks that neither a lab nor this machine uses.

    Args:
        used: The indexes of other labs.

    Raises:
        UsageError: If there is none.
    """
    routes = subprocess.run(["ip", "-json", "route", "show"], capture_output=True, check=True, text=True).stdout
    taken = [ip_network(route["dst"], strict=False) for route in json.loads(routes) if route["dst"] != "default"]
    for index in range(1, 255):
        networks = [ip_network(f"{prefix}.{index}.0/24") for prefix in ("10.81", "10.82")]
        if index not in used and not any(network.overlaps(other) for network in networks for other in taken):
            return index
    raise refused("LAB_NO_NETWORK", "no free network 10.81.x.0/24 is left on this machine")


def wait_until(is_reached: Callable[[], bool]) -> bool:
    """Wait for a condition, at most as long as a boot may take; return whether it holds."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not is_reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def wait_for_namespace(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has its own network namespace."""
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + BOOT_SECONDS
    while os.readlink(f"/proc/{process.pid}/ns/net") == own:
        if time.monotonic() > deadline or process.poll() is not None:
            raise refused("LAB_BOOT_FAILED", "unshare could not make a network namespace")
        time.sleep(0.002)


def wire(lab: Lab) -> None:
    """Connect this machine and all hosts of a lab to its switch."""
    commands = f"link add {lab.uplink} type veth peer name uplink netns {lab.switch_pid}\n"
    commands += f"addr add {lab.gateway}/24 dev {lab.uplink}\nlink set {lab.uplink} up\n"
    _ip([], commands)
    _ip(["nsenter", f"--net=/proc/{lab.switch_pid}/ns/net"], spec.switch_commands(lab))


def _ip(prefix: list[str], commands: str) -> None:
    result = subprocess.run([*prefix, "ip", "-batch", "-"], input=commands, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise refused("LAB_BOOT_FAILED", f"ip: {result.stderr.strip().splitlines()[0]}")
