# SPDX-License-Identifier: Apache-2.0
"""
PID 1 of a lab host: make a private root, configure the network, start sshd, reap orphans.

Runs as ``python3 -I -S host.py`` inside new namespaces and gets its description as JSON on stdin.
It must import only the standard library, and nothing after the root has changed.
"""

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

LIBC = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Make the mount system call."""
    arguments = [source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()]
    _check(LIBC.mount(*arguments), f"mount {target}")


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Write a file."""
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
        stream.write(text)


def bind(root: str, source: str, target: str, read_only: bool) -> None:
    """Bind a directory of the machine into a host, with all mounts below it."""
    place = root + target
    if os.path.islink(place):
        os.unlink(place)  # A link of the machine, which may lead out of this root.
    os.makedirs(place, exist_ok=True)
    mount(source, place, flags=MS_BIND | MS_REC)
    if read_only:
        # Each mount has its own read-only flag.
        for point in points(place):
            mount("none", point, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def points(top: str) -> "list[str]":
    """Return the mount points at a path and below it."""
    with open("/proc/self/mountinfo", "rb") as stream:
        fields = [line.split(b" ")[4] for line in stream]
    escapes = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))
    found = []
    for field in fields:
        for code, byte in escapes:
            field = field.replace(code, byte)
        found.append(os.fsdecode(field))
    return [point for point in found if point == top or point.startswith(top + "/")]


def make_root(disk: str, binds: "list[tuple[str, str, bool]]") -> None:
    """
    Mount a temporary overlay over the machine's root and make it this host's root.

    Args:
        disk: An empty directory that gets the host's tmpfs.
        binds: Directories of the machine, where they appear, and whether they are read-only there.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", disk, "tmpfs", options="size=2g,mode=0755")
    upper, work, root = (os.path.join(disk, part) for part in ("upper", "work", "root"))
    for path in (upper, work, root):
        os.mkdir(path)
    hide_personal_files(upper)
    hide_runs(upper)
    mount("overlay", root, "overlay", options=f"lowerdir=/,upperdir={upper},workdir={work}")
    mount("/dev", root + "/dev", flags=MS_BIND | MS_REC)
    mount("proc", root + "/proc", "proc")
    mount("sysfs", root + "/sys", "sysfs")
    if os.path.isdir("/sys/fs/cgroup"):
        mount("/sys/fs/cgroup", root + "/sys/fs/cgroup", flags=MS_BIND | MS_REC)
    for path, mode in (("/tmp", "1777"), ("/run", "0755"), ("/dev/shm", "1777")):
        mount("tmpfs", root + path, "tmpfs", options=f"mode={mode}")
    for source, target, read_only in binds:
        bind(root, source, target, read_only)
    old = root + "/run/old"
    os.mkdir(old)
    _check(LIBC.syscall(SYS_PIVOT_ROOT[os.uname().machine], root.encode(), old.encode()), "pivot_root")
    os.chdir("/")
    _check(LIBC.umount2(b"/run/old", MNT_DETACH), "umount the machine's root")
    os.rmdir("/run/old")


def hide_personal_files(upper: str) -> None:
    """
    Start the host without the SSH keys of the machine's user, and with empty shell start-up files.

    An opaque directory in the overlay hides the machine's; nothing is deleted anywhere.
    """
    home = os.path.join(upper, "root")
    os.makedirs(os.path.join(home, ".ssh"), 0o700)
    os.chmod(home, 0o700)
    os.setxattr(os.path.join(home, ".ssh"), b"trusted.overlay.opaque", b"y")
    for name in (".bashrc", ".profile", ".bash_profile", ".bash_login"):
        write(os.path.join(home, name), "")


def hide_runs(upper: str) -> None:
    """
    Start the host with an empty /var/tmp, where the machine's runs would look like those of the host.

    An opaque directory in the overlay hides the machine's; nothing is deleted anywhere.
    """
    place = upper + "/var/tmp"
    os.makedirs(place, 0o755)
    os.chmod(place, stat.S_IMODE(os.stat("/var/tmp").st_mode))
    os.setxattr(place, b"trusted.overlay.opaque", b"y")


def configure(spec: "dict[str, Any]") -> None:
    """Set the host's names, identities and interfaces."""
    _check(LIBC.sethostname(spec["name"].encode(), len(spec["name"])), "sethostname")
    write("/etc/hostname", spec["name"] + "\n")
    write("/etc/hosts", spec["hosts_file"])
    write("/etc/machine-id", spec["machine_id"] + "\n")
    write("/run/boot_id", spec["boot_id"] + "\n")
    mount("/run/boot_id", "/proc/sys/kernel/random/boot_id", flags=MS_BIND)
    subprocess.run(["ip", "-batch", "-"], input=spec["ip_commands"], text=True, check=True)


def start_sshd(spec: "dict[str, Any]") -> None:
    """Start an sshd that listens on the management address only."""
    with open("/etc/shadow", encoding="utf-8") as stream:
        shadow = stream.read()
    # Without PAM, sshd regards an account as locked if its password field begins with "!".
    write("/etc/shadow", "\n".join(unlock(line) for line in shadow.split("\n")), 0o600)
    for path in ("/run/sshd", "/run/lab"):
        os.mkdir(path, 0o755)
    write("/run/lab/authorized_keys", spec["authorized_key"])
    write("/run/lab/host_key", spec["host_key"], 0o600)
    write("/run/lab/sshd_config", spec["sshd_config"])
    subprocess.Popen(
        [spec["sshd"], "-D", "-E", "/run/lab/sshd.log", "-f", "/run/lab/sshd_config"], start_new_session=True
    )


def unlock(line: str) -> str:
    """Turn root's "no password, locked" into "no password"."""
    user, colon, rest = line.partition(":")
    return f"{user}:*{rest.lstrip('!*')}" if user == "root" and colon and rest[:1] == "!" else line


def reap() -> None:
    """Reap orphans forever; the host ends when its namespace is killed."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigwait({signal.SIGCHLD})


def main() -> None:
    """Report that the namespaces exist, wait for the description, and become the host."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("namespaces", flush=True)
    text = sys.stdin.read()
    if not text:
        sys.exit("the lab's start was cut off")
    spec = json.loads(text)
    os.umask(0o022)
    make_root(spec["disk"], spec["binds"])
    configure(spec)
    start_sshd(spec)
    print("host", flush=True)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    reap()


if __name__ == "__main__":
    main()
