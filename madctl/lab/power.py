# SPDX-License-Identifier: Apache-2.0
"""
Switch labs and hosts on and off: the only part of the lab that starts and ends processes.

Every process that keeps a part of the lab up has the lab's mark in its environment, so ``down`` finds it even if
``up`` was killed before it could record anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from madctl.errors import refused
from madctl.lab import mounts, network, spec, state
from madctl.lab.spec import Host, Lab, Mount

PROGRAMS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
}
SSHD_CONFIG = """\
ListenAddress {address}
HostKey /run/lab/host_key
AuthorizedKeysFile /run/lab/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 100:30:200
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""
BOOT_SECONDS = network.BOOT_SECONDS
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def up(name: str, count: int, interface_names: dict[str, str], more: Sequence[Mount] = ()) -> Lab:
    """
    Bring up a lab and wait until every host answers on its SSH port.

    Args:
        count: Number of hosts.
        interface_names: Data interface by host, where it is not ``ens14np0``.
        more: Directories of this machine that hosts see, besides the shared one of every lab.

    Raises:
        UsageError: If the lab is already up, or this machine cannot run one.
    """
    require_machine()
    directory = state.directory(name)
    spec.plan_hosts(count, 0, interface_names)
    with state.exclusive():
        if directory.exists():
            remedy = f"take it down: madctl lab down --name {name}"
            raise refused("LAB_IS_UP", f'lab "{name}" is already up', remedy=remedy)
        try:
            index = network.free_index(state.indexes())
            hosts = spec.plan_hosts(count, index, interface_names)
            shared = str(state.shared_directory(name))
            return _start(Lab(name, index, state.machine_boot_id(), 0, hosts, shared, tuple(more)), directory)
        except BaseException:
            _teardown(name)
            raise


def down(name: str) -> bool:
    """Remove everything that belongs to a lab; return whether there was anything."""
    require_machine()
    with state.exclusive():
        return _teardown(name)


def power_off(host: Host) -> None:
    """End a host as a power failure would: all its processes are gone at once."""
    _kill([host.pid])


def require_machine() -> None:
    """
    Check that this machine can run a lab.

    Raises:
        UsageError: If it is not Linux, the user is not root, or a program is missing.
    """
    if sys.platform != "linux":
        raise refused("LAB_NEEDS_LINUX", "the lab needs Linux")
    if os.geteuid() != 0:
        raise refused("LAB_NEEDS_ROOT", "the lab needs root", remedy="run it with sudo")
    missing = [program for program in PROGRAMS if _find(program) is None]
    if missing:
        packages = " ".join(sorted({PROGRAMS[program] for program in missing}))
        remedy = f"on Debian or Ubuntu: apt-get install -y {packages}"
        raise refused("LAB_NEEDS_PROGRAM", f"the lab needs {', '.join(missing)}", remedy=remedy)


def _find(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")


def _start(lab: Lab, directory: Path) -> Lab:
    for path in (state.ROOT.parent, state.ROOT, directory, directory / "disks", directory / "cp"):
        path.mkdir(mode=0o700, exist_ok=True)
    _make_shared(Path(lab.shared))
    switch = _spawn(lab.name, ["unshare", "--net", "sleep", "infinity"], directory / "switch.log")
    network.wait_for_namespace(switch)
    booting = []
    for host in lab.hosts:
        process = _spawn_host(lab.name, host.name, directory)
        booting.append((replace(host, pid=process.pid), process))
    lab = replace(lab, switch_pid=switch.pid, hosts=tuple(host for host, _ in booting))
    state.save(lab)
    client_key = _make_key(directory / "id_ed25519")
    for _, process in booting:
        _expect(process, b"namespaces\n", directory)
    network.wire(lab)
    known_hosts = []
    for host, process in booting:
        host_key = directory / f"host_key_{host.name}"
        known_hosts.append(f"{host.management_address} {_make_key(host_key)}")
        assert process.stdin is not None
        process.stdin.write(json.dumps(_describe(lab, host, directory, client_key, host_key)).encode())
        process.stdin.close()
    for _, process in booting:
        _expect(process, b"host\n", directory)
    lab = replace(lab, hosts=tuple(replace(host, init_pid=_child_of(host.pid)) for host in lab.hosts))
    (directory / "known_hosts").write_text("".join(known_hosts))
    (directory / "ssh_config").write_text(spec.ssh_config(lab, str(directory)))
    (directory / "inventory.yml").write_text(spec.inventory(lab, str(directory)))
    state.save(lab)
    for host in lab.hosts:
        if not network.wait_until(partial(_answers, host)):
            raise refused("LAB_BOOT_FAILED", "sshd does not answer", host.name)
    return lab


def _make_shared(path: Path) -> None:
    """Make the empty directory that all hosts share, writable by every user of a host."""
    _remove(path)  # It survives a reboot of the machine.
    for directory, mode in ((path.parents[1], 0o755), (path.parent, 0o755), (path, 0o1777)):
        directory.mkdir(exist_ok=True)
        directory.chmod(mode)  # Independent of the umask.


def _spawn(name: str, argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as errors:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            cwd="/",
            env={"PATH": _SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": "/root", state.MARK: name},
        )


def _spawn_host(name: str, host: str, directory: Path) -> subprocess.Popen[bytes]:
    (directory / "disks" / host).mkdir()
    program = Path(__file__).with_name("host.py")
    namespaces = ["--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child"]
    # The interpreter behind the virtual environment: it exists in the host before anything is bound.
    python = os.path.realpath(sys.executable)
    argv = ["unshare", *namespaces, "--", python, "-I", "-S", str(program)]
    return _spawn(name, argv, directory / f"{host}.log")


def _describe(lab: Lab, host: Host, directory: Path, client_key: str, host_key: Path) -> dict[str, object]:
    return {
        "name": host.name,
        "disk": str(directory / "disks" / host.name),
        "binds": mounts.binds(lab),
        "hosts_file": spec.hosts_file(lab, host.name),
        "machine_id": uuid.UUID(bytes=secrets.token_bytes(16)).hex,
        "boot_id": str(uuid.uuid4()),
        "ip_commands": spec.host_commands(host),
        "sshd": _find("sshd"),
        "sshd_config": SSHD_CONFIG.format(address=host.management_address),
        "authorized_key": client_key,
        "host_key": host_key.read_text(),
    }


def _make_key(path: Path) -> str:
    """Create a key pair and return its public half as one line."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "madctl-lab", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(path.name + ".pub").read_text()


def _expect(process: subprocess.Popen[bytes], line: bytes, directory: Path) -> None:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], BOOT_SECONDS)
    if ready and process.stdout.readline() == line:
        return
    logs = [log.read_text().strip().splitlines() for log in sorted(directory.glob("*.log"))]
    cause = next((lines[-1] for lines in logs if lines), "no reason given")
    raise refused("LAB_BOOT_FAILED", f"a host did not come up: {cause}")


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _answers(host: Host) -> bool:
    try:
        with socket.create_connection((host.management_address, 22), timeout=BOOT_SECONDS) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False  # Refused, or not reachable yet while the machine is busy with other hosts.


def _teardown(name: str) -> bool:
    directory, shared = state.directory(name), state.shared_directory(name)
    found = directory.exists() or shared.exists()
    for master in directory.glob("cp/*"):
        subprocess.run(["ssh", "-O", "exit", "-S", str(master), "lab"], capture_output=True, check=False)
    processes = state.marked_processes(name)
    index = json.loads((directory / state.RECORD).read_text())["index"] if state.is_recorded(name) else None
    _kill(processes)
    # One that was starting another when it was listed has done so by now.
    network.wait_until(lambda: not _kill(state.marked_processes(name)))
    if index is not None:
        # The kernel removes the network link of a namespace only after its last process has ended.
        network.wait_until(lambda: not Path("/sys/class/net", spec.uplink(index)).exists())
    for path in (directory, shared):
        _remove(path)
        for empty in (path.parent, path.parents[1]):
            with contextlib.suppress(OSError):
                empty.rmdir()
    return found or bool(processes)


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def _kill(pids: list[int]) -> bool:
    """Kill processes and wait until each has gone; return whether there were any."""
    descriptors = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptors.append(os.pidfd_open(pid))
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + BOOT_SECONDS
    for descriptor in descriptors:
        select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        os.close(descriptor)
    return bool(pids)
