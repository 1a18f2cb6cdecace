# SPDX-License-Identifier: Apache-2.0
"""
Real hosts with a kernel each, one of them an NFSv4.2 server, in User Mode Linux on this machine.

    with UmlCluster(directory, count=2) as cluster:
        cluster.mount("u1")
        cluster.run("u1", "cp", "/etc/hostname", "/nfs/name")

The server is called ``nfs0``, the clients ``u1``, ``u2`` and so on. ``ssh -F CLUSTER.ssh_config NAME`` reaches each.
Every host shows this machine's files, over which it writes to its own memory only; ``/tmp`` and ``/run`` are its own.

A host has no more than its init script and sshd. With ``systemd=True`` the clients are run by systemd, with cgroup2; and
with ``server=False`` there are only clients:

    with UmlCluster(directory, count=1, server=False, systemd=True) as cluster:
        cluster.run("u1", "systemd-run", "--unit=job", "sleep", "1000")

The machine's network gets one link, ``mumlN``, into a network namespace with a bridge that all hosts hang on.
Every host is a PID namespace: when its first process is killed, the kernel ends all others of it, however deep User
Mode Linux has nested and traced them. What this module starts ends with the thread that started it, even by SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from ipaddress import ip_network
from pathlib import Path

from tests.integration import uml_registers

PROGRAMS = {
    "insmod": "kmod",
    "ip": "iproute2",
    "linux.uml": "user-mode-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "unshare": "util-linux",
}
NFS_PROGRAMS = {
    "exportfs": "nfs-kernel-server",
    "modprobe": "kmod",
    "mount.nfs": "nfs-common",
    "rpc.mountd": "nfs-kernel-server",
    "rpc.nfsd": "nfs-kernel-server",
}
SYSTEMD_PROGRAMS = {
    "systemctl": "systemd",
    "systemd-run": "systemd",
}
SERVER = "nfs0"
BOOT_SECONDS = 300
END_SECONDS = 120
LOG_LINES = 25
PANIC = "Kernel panic"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PROJECT = Path(__file__).resolve().parents[2]

EXPORTS = """\
/srv/nfs *(rw,no_root_squash,no_subtree_check,insecure,fsid=0)
/srv/nfs/a *(rw,no_root_squash,no_subtree_check,insecure,fsid=1)
/srv/nfs/b *(rw,no_root_squash,no_subtree_check,insecure,fsid=2)
"""
SSHD_CONFIG = """\
HostKey /run/uml/host_key
AuthorizedKeysFile /run/uml/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 100:30:200
Subsystem sftp internal-sftp
"""
# Sessions stay in this service's control group: without PAM no logind moves them to scopes of their own.
SSHD_UNIT = """\
[Service]
Type=notify
KillMode=process
ExecStart=/usr/sbin/sshd -D -f /run/uml/sshd_config
ExecStartPost=/bin/sh -c "echo UML-READY %H > /dev/console"
"""

# PID 1 of a host, after some assignments. A host's kernel panics when it ends, so "set -e" turns every failure into one
# that the starter sees. A process costs 0.05 s there: builtins are preferred.
INIT = """\
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin $environment
if [ "$1" != second ]; then
  insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/root
  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
  cd /mnt/root
  mkdir -p mnt/old
  pivot_root . mnt/old
  exec chroot . "$0" second
fi
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
# The device file system of a bare kernel lacks this link, which a shell's <(...) needs.
ln -s /proc/self/fd /dev/fd
for path in /tmp /run /dev/shm /var/lib/nfs; do mount -t tmpfs tmpfs "$path"; done
chmod 1777 /tmp /dev/shm
# What the kernel itself starts knows nothing of this environment.
if [ -n "$GLIBC_TUNABLES" ]; then
  printf '#!/bin/sh\\nGLIBC_TUNABLES=%s exec modprobe "$@"\\n' "$GLIBC_TUNABLES" > /run/modprobe
  chmod 700 /run/modprobe
  echo /run/modprobe > /proc/sys/kernel/modprobe
fi
printf %s "$visible" | while read -r path; do
  mkdir -p "$path"
  mount --bind "/mnt/old$path" "$path"
done
umount -l /mnt/old
ln -sfn "/usr/lib/uml/modules/$(uname -r)" "/lib/modules/$(uname -r)"
# Neither the keys of the machine's user nor a start-up file: bash reads one even for a command over SSH.
rm -rf /root/.ssh /root/.bashrc /root/.profile /root/.bash_profile /root/.bash_login
echo "$name" > /proc/sys/kernel/hostname
echo "$name" > /etc/hostname
echo "$machine_id" > /etc/machine-id
printf %s "$hosts_file" > /etc/hosts
printf 'link set lo up\\naddr add %s/24 dev eth0\\nlink set eth0 up\\n' "$address" | ip -batch -
if [ "$name" = "$server" ]; then
  modprobe nfsd
  mount -t nfsd nfsd /proc/fs/nfsd
  mkdir -p /srv/nfs /var/lib/nfs/v4recovery
  : > /var/lib/nfs/etab
  : > /var/lib/nfs/rmtab
  mount -t tmpfs tmpfs /srv/nfs
  mkdir /srv/nfs/a /srv/nfs/b
  mount -t tmpfs tmpfs /srv/nfs/a
  mount -t tmpfs tmpfs /srv/nfs/b
  chmod 777 /srv/nfs /srv/nfs/a /srv/nfs/b
  printf %s "$exports" > /etc/exports
  exportfs -a
  # Version 4 alone needs no port mapper; the complaint that none answers is harmless.
  rpc.mountd --no-nfs-version 3
  rpc.nfsd -N 3 -V 4.2 4
fi
mkdir -p /run/sshd /run/uml
umask 077
printf %s "$host_key" > /run/uml/host_key
printf %s "$authorized_key" > /run/uml/authorized_keys
printf %s "$sshd_config" > /run/uml/sshd_config
umask 022
# sshd without PAM takes a password field that begins with "!" for a locked account.
sed -i 's/^root:!!*/root:*/' /etc/shadow
if [ "$run_by" = systemd ]; then
  # Nothing of what this machine starts belongs there, and tmpfiles and udev alone would take 25 s: no unit is enabled,
  # none wanted by the distribution, none generated. Targets still pull in each other. Nor is there a D-Bus daemon:
  # systemctl and systemd-run, with --scope too, talk as root to systemd itself, over /run/systemd/private. Only
  # systemd-run --wait and --pipe need the daemon.
  rm -rf /etc/systemd /lib/systemd/system-generators /lib/systemd/system/*.wants
  wants=/etc/systemd/system/multi-user.target.wants
  mkdir -p "$wants"
  printf '[Manager]\\nDefaultEnvironment=%s\\n' "$environment" > /etc/systemd/system.conf
  printf %s "$sshd_unit" > /etc/systemd/system/uml-sshd.service
  ln -s /etc/systemd/system/uml-sshd.service /lib/systemd/system/systemd-journald.service "$wants"
  # It leaves the file systems that are mounted, and the network, as they are.
  SYSTEMD_COLORS=0 exec /lib/systemd/systemd --unit=multi-user.target
fi
/usr/sbin/sshd -f /run/uml/sshd_config
echo "UML-READY $name"
while :; do sleep 1000; done
"""


class UmlError(RuntimeError):
    """A host did not do what it was told; the message has its last output."""


def missing(*, server: bool = True, systemd: bool = False) -> list[str]:
    """List the Debian packages that such a cluster needs and this machine lacks."""
    needed = {**PROGRAMS, **(NFS_PROGRAMS if server else {}), **(SYSTEMD_PROGRAMS if systemd else {})}
    absent = {package for program, package in needed.items() if shutil.which(program, path=_PATH) is None}
    return sorted(absent)


class UmlCluster:
    """
    An NFS server and some clients, up between ``with`` and its end.

    The server exports ``/``, ``/a`` and ``/b``: three empty file systems, of which the latter two also appear in the
    first.

    Args:
        directory: An absent or empty directory, not below ``/run``; it is removed at the end with all that it holds.
        count: How many clients.
        memory: What each host gets. Half of it can be written to files.
        server: Whether there is an NFS server.
        systemd: Whether systemd runs the clients; the server is always run by a script.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        count: int = 2,
        memory: str = "256M",
        *,
        server: bool = True,
        systemd: bool = False,
    ) -> None:
        self.directory = Path(directory).resolve()
        self.memory = memory
        self.server = SERVER
        self.clients = tuple(f"u{number}" for number in range(1, count + 1))
        self.hosts = (self.server, *self.clients) if server else self.clients
        self.systemd = self.clients if systemd else ()
        self.ssh_config = self.directory / "ssh_config"
        self.addresses: dict[str, str] = {}
        self.link = ""
        self._owns_directory = False
        self._switch: subprocess.Popen[bytes] | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> UmlCluster:
        """Bring everything up, or nothing."""
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """
        Start all hosts at once and wait until each has an sshd that answers.

        Raises:
            UmlError: If one does not come up; the message ends with its console's last lines.
        """
        if absent := missing(server=self.server in self.hosts, systemd=bool(self.systemd)):
            raise UmlError(f"not installed: {' '.join(absent)}")
        if any(character.isspace() for character in str(self.directory)):
            raise UmlError(f"{self.directory}: white space cannot be passed on a kernel's command line")
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            raise UmlError(f"{self.directory} is not empty")
        self._owns_directory = True
        deadline = time.monotonic() + BOOT_SECONDS
        self._start_switch()
        authorized_key = _make_key(self.directory / "id_ed25519")
        public_keys = {host: _make_key(self.directory / f"{host}.key") for host in self.hosts}
        for host in self.hosts:
            self._start(host, authorized_key)
        known = (f"{self.addresses[host]} {public_keys[host]}" for host in self.hosts)
        (self.directory / "known_hosts").write_text("".join(known))
        self.ssh_config.write_text(self._describe_ssh())
        for host in self.hosts:
            self._wait_for_boot(host, deadline)
            self._wait_for_ssh(host, deadline)

    def down(self) -> None:
        """End every process, and remove every link and file, also after a failed start."""
        started = [*self._processes.values(), *([self._switch] if self._switch else [])]
        # The child is PID 1 of a host, whose end is not over before that of all others there. Its parent ends by
        # itself then, and not before; otherwise the child would be left to the reaper of orphans on this machine.
        for process in started:
            for pid in _children_of(process.pid) or [process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in started:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        self._switch = None
        if self._owns_directory:
            shutil.rmtree(self.directory)
            self._owns_directory = False
        if self.link:
            # The kernel takes a namespace and its links down a little after the last process.
            link = Path("/sys/class/net", self.link)
            _wait_until(lambda: not link.exists(), END_SECONDS, lambda: f"the link {link.name} is still there")

    def run(self, host: str, *words: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """
        Run a command over SSH, as text for the shell when it is one word.

        Raises:
            UmlError: If it fails and ``check`` is set.
            subprocess.TimeoutExpired: If it takes longer. What runs on the host is not ended.
        """
        command = words[0] if len(words) == 1 else shlex.join(words)
        argv = ["ssh", "-F", str(self.ssh_config), "-o", "BatchMode=yes", host, "--", command]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise UmlError(f"{host}: {command}: exit code {done.returncode}\n{done.stdout}{done.stderr}".rstrip())
        return done

    def mount(self, host: str, path: str = "/nfs", export: str = "/", options: str = "vers=4.2") -> None:
        """Mount an export of the server on a client."""
        source = f"{self.server}:{export}"
        self.run(
            host, f"mkdir -p {shlex.quote(path)} && {shlex.join(['mount', '-t', 'nfs', '-o', options, source, path])}"
        )

    def umount(self, host: str, path: str = "/nfs") -> None:
        """Unmount, which needs a server that answers."""
        self.run(host, "umount", path)

    def freeze_server(self) -> None:
        """
        Stop the server as a whole: its kernel answers nothing any more, and access from clients hangs.

        What a client has in its cache, as for some seconds the attributes of files it has seen, it still finds.
        """
        pids = self._untraced(self.server)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        _wait_until(
            lambda: all(_status(pid).get("State", "").startswith("T") for pid in pids),
            END_SECONDS,
            lambda: "the server does not stop",
        )

    def thaw_server(self) -> None:
        """Let a frozen server continue, and wait until it answers; clients may retry a little later."""
        # The wrapper too: unshare of some versions stops itself along with its child.
        for pid in (*self._untraced(self.server), self._processes[self.server].pid):
            os.kill(pid, signal.SIGCONT)
        self._wait_for_ssh(self.server, time.monotonic() + END_SECONDS)

    def processes(self, host: str) -> list[int]:
        """List the processes of this machine that make up a host."""
        result = []
        for init in _children_of(self._processes[host].pid):
            with contextlib.suppress(OSError):
                namespace = os.readlink(f"/proc/{init}/ns/pid")
                result += [pid for pid in _all_pids() if _link(f"/proc/{pid}/ns/pid") == namespace]
        return result

    def console(self, host: str) -> str:
        """Read the last lines that a host printed, up to the one that says why its kernel panicked."""
        try:
            text = (self.directory / f"{host}.log").read_text(errors="replace")
        except OSError:
            text = ""
        before, panic, after = text.partition(PANIC)
        lines = (before + panic + after.partition("\n")[0] if panic else text).splitlines()
        return "\n".join(lines[-LOG_LINES:]) or "(nothing on the console)"

    def _untraced(self, host: str) -> list[int]:
        # The others are programs of the host, and their tracer is its kernel: it gets their signals, and a stop is none
        # that it expects. Without it they come no further than their next system call.
        return [pid for pid in self.processes(host) if _status(pid).get("TracerPid") == "0"]

    def _start_switch(self) -> None:
        """Make the network: a namespace with a bridge, a tap for each host, and a link into it."""
        argv = ["unshare", "--net", "sh", "-c", "echo up; exec sleep infinity"]
        self._switch = _spawn(argv, self.directory / "switch.log", stdout=subprocess.PIPE)
        assert self._switch.stdout is not None
        with self._switch.stdout as stream:
            if stream.readline() != b"up\n":
                raise UmlError("unshare could not make a network namespace")
        pid = self._switch.pid
        for index in _free_indexes():
            # The name decides a race between two clusters: the second one takes the next network.
            added = _ip([], f"link add muml{index} type veth peer name uplink netns {pid}\n", check=False)
            if added.returncode == 0:
                break
            if "File exists" not in added.stderr:
                raise UmlError(f"ip: {added.stderr.strip()}")
        else:
            raise UmlError("no free network 10.83.x.0/24 is left on this machine")
        self.link = f"muml{index}"
        self.addresses = {host: f"10.83.{index}.{octet}" for octet, host in enumerate(self.hosts, start=10)}
        _ip([], f"addr add 10.83.{index}.1/24 dev {self.link}\nlink set {self.link} up\n")
        commands = "link set lo up\nlink add bridge type bridge\nlink set bridge up\n"
        for host in self.hosts:
            commands += f"tuntap add dev {host} mode tap\n"
        for port in ("uplink", *self.hosts):
            commands += f"link set {port} master bridge\nlink set {port} up\n"
        _ip(["nsenter", f"--net=/proc/{pid}/ns/net"], commands)

    def _start(self, host: str, authorized_key: str) -> None:
        assert self._switch is not None
        init = self.directory / f"{host}.init"
        init.write_text(self._init(host, authorized_key))
        init.chmod(0o700)
        hardware_address = "02:00:" + ":".join(f"{int(part):02x}" for part in self.addresses[host].split("."))
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv = ["nsenter", f"--net=/proc/{self._switch.pid}/ns/net", "unshare", *namespaces]
        # The host's memory is a file and its control socket another: both go with this mount. It is as large as
        # wanted, which a container's /dev/shm often is not.
        argv += ["sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"]
        argv += [sys.executable, "-I", uml_registers.__file__] if uml_registers.needed() else []
        # The root must be "ro": with "rw" it is this machine's own, written by root.
        argv += ["linux.uml", f"mem={self.memory}", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "quiet"]
        argv += [f"eth0=tuntap,{host},{hardware_address}", "con0=null,fd:1", "con=null", "ssl=null"]
        argv += [f"umid={host}", "uml_dir=/run"]
        self._processes[host] = _spawn(argv, self.directory / f"{host}.log")

    def _init(self, host: str, authorized_key: str) -> str:
        names = "".join(f"{address} {name}\n" for name, address in self.addresses.items())
        environment = uml_registers.ENVIRONMENT if uml_registers.needed() else {}
        words = " ".join(f"{key}={value}" for key, value in environment.items())
        values = {
            "environment": words,
            "name": host,
            "server": self.server,
            "address": self.addresses[host],
            "machine_id": uuid.uuid4().hex,
            "hosts_file": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{names}",
            "host_key": (self.directory / f"{host}.key").read_text(),
            "authorized_key": authorized_key,
            "sshd_config": SSHD_CONFIG + (f"SetEnv {words}\n" if words else ""),
            "sshd_unit": SSHD_UNIT,
            "run_by": "systemd" if host in self.systemd else "script",
            "exports": EXPORTS,
            "visible": "".join(f"{path}\n" for path in _visible_directories()),
        }
        return "#!/bin/sh\n" + "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items()) + INIT

    def _describe_ssh(self) -> str:
        hosts = "".join(f"Host {name}\n  HostName {address}\n" for name, address in self.addresses.items())
        return (
            f"{hosts}Host {' '.join(self.hosts)}\n"
            "  User root\n"
            "  Port 22\n"
            f"  IdentityFile {self.directory}/id_ed25519\n"
            "  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.directory}/known_hosts\n"
            "  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n"
        )

    def _wait_for_boot(self, host: str, deadline: float) -> None:
        log, process = self.directory / f"{host}.log", self._processes[host]

        def ready() -> bool:
            # Asked before the log is read, so that the last words are in it.
            ended = process.poll() is not None
            text = log.read_text(errors="replace")
            # A kernel that panics as PID 1 of a namespace waits for ever: it cannot abort itself there.
            if ended or PANIC in text:
                raise UmlError(f"{host} ended while it booted:\n{self.console(host)}")
            return f"UML-READY {host}" in text

        _wait_until(ready, deadline - time.monotonic(), lambda: f"{host} did not boot:\n{self.console(host)}")

    def _wait_for_ssh(self, host: str, deadline: float) -> None:
        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((self.addresses[host], 22), timeout=1) as sshd:
                return sshd.recv(4) == b"SSH-"
            return False

        _wait_until(
            answers, deadline - time.monotonic(), lambda: f"{host}: sshd does not answer:\n{self.console(host)}"
        )


def _spawn(argv: list[str], log: Path, stdout: int | None = None) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout or stream,
            stderr=stream,
            # A kernel that panics ends its whole process group.
            start_new_session=True,
            cwd="/",
            env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root", "TMPDIR": "/run"},
        )


def _ip(prefix: list[str], commands: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    argv = [*prefix, "ip", "-batch", "-"]
    done = subprocess.run(argv, input=commands, capture_output=True, text=True, env={"PATH": _PATH})
    if check and done.returncode != 0:
        raise UmlError(f"ip: {done.stderr.strip()}")
    return done


def _free_indexes() -> list[int]:
    """List the third octets whose networks overlap no route of this machine."""
    argv = ["ip", "-json", "route", "show"]
    routes = json.loads(subprocess.run(argv, capture_output=True, check=True, text=True, env={"PATH": _PATH}).stdout)
    taken = [ip_network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]
    wanted = {index: ip_network(f"10.83.{index}.0/24") for index in range(1, 255)}
    return [index for index, network in wanted.items() if not any(network.overlaps(other) for other in taken)]


def _visible_directories() -> list[Path]:
    """List what the tests run from and a host's own ``/tmp`` would hide, outermost first."""
    wanted = {_PROJECT, Path(sys.prefix), Path(sys.base_prefix)}
    return sorted(path for path in wanted if path.is_relative_to("/tmp"))


def _make_key(path: Path) -> str:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "madctl-uml", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return path.with_name(path.name + ".pub").read_text()


def _wait_until(condition, seconds: float, complaint) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise UmlError(complaint())
        time.sleep(0.02)


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
