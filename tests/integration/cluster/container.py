# SPDX-License-Identifier: Apache-2.0
"""
The runtime of one container: a process that starts the command as PID 1 and passes on signals and its end.

Runs as ``python3 -I -S container.py REPORT_FD`` and gets its description as the first line of stdin; each line after
that is the number of a signal for PID 1. The end of stdin kills the container: nothing outlives its kubelet.
It must import only the standard library and the lab's ``host.py``, which needs no more.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from madctl.lab import host  # noqa: E402

NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000  # mount, UTS, IPC, PID
PR_SET_PDEATHSIG = 1
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8


def call(function, *arguments):
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent():
    call(host.LIBC.prctl, PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def join(init_pid):
    """Enter the network of a host, and let children be processes of it: its power failure is theirs."""
    for name in ("net", "pid"):
        descriptor = os.open(f"/proc/{init_pid}/ns/{name}", os.O_RDONLY)
        call(host.LIBC.setns, descriptor, 0)
        os.close(descriptor)


def make_root(spec):
    """Make a root of the container's own over the machine's, with its volumes; no path is made on the machine."""
    host.mount("none", "/", flags=host.MS_REC | host.MS_PRIVATE)
    disk = spec["disk"]
    host.mount("tmpfs", disk, "tmpfs", options="size=2g,mode=0755")
    upper, work, root = (os.path.join(disk, part) for part in ("upper", "work", "root"))
    for path in (upper, work, root):
        os.mkdir(path)
    host.hide_personal_files(upper)
    host.hide_runs(upper)
    host.mount("overlay", root, "overlay", options=f"lowerdir=/,upperdir={upper},workdir={work}")
    host.mount("proc", root + "/proc", "proc", flags=MS_NOSUID | MS_NODEV | MS_NOEXEC)
    host.mount("sysfs", root + "/sys", "sysfs", flags=MS_NOSUID | MS_NODEV | MS_NOEXEC | host.MS_RDONLY)
    make_devices(root)
    for path, mode in (("/tmp", "1777"), ("/run", "0755")):
        host.mount("tmpfs", root + path, "tmpfs", options=f"mode={mode}")
    for source, target, read_only in spec["image"]:
        host.bind(root, source, target, read_only)
    for volume in spec["mounts"]:
        show(root, volume)
    show_file(root, spec["termination_log"], spec["termination_path"])
    for name, target in (("hosts", "/etc/hosts"), ("hostname", "/etc/hostname")):
        if os.path.lexists(root + target):
            os.unlink(root + target)
        os.symlink(f"/run/.names/{name}", root + target)
    host.bind(root, spec["names"], "/run/.names", read_only=True)
    os.mkdir(root + "/run/.old")
    call(host.LIBC.syscall, host.SYS_PIVOT_ROOT[os.uname().machine], root.encode(), (root + "/run/.old").encode())
    os.chdir("/")
    call(host.LIBC.umount2, b"/run/.old", host.MNT_DETACH)
    os.rmdir("/run/.old")


def make_devices(root):
    """Make the devices that every container has, and no other."""
    host.mount("tmpfs", root + "/dev", "tmpfs", options="mode=0755,size=64k")
    for name in DEVICES:
        show_file(root, "/dev/" + name, "/dev/" + name)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{root}/dev/{name}")
    os.mkdir(root + "/dev/pts")
    host.mount("devpts", root + "/dev/pts", "devpts", options="newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", root + "/dev/ptmx")
    os.mkdir(root + "/dev/shm")
    host.mount("shm", root + "/dev/shm", "tmpfs", options="mode=1777,size=65536k")


def show(root, volume):
    """Mount a volume: a directory of the kubelet, or memory of the container's own."""
    target = volume["path"]
    if "memory" not in volume:
        host.bind(root, volume["source"], target, volume["read_only"])
        return
    os.makedirs(root + target, exist_ok=True)
    size = f",size={volume['memory']}" if volume["memory"] else ""
    host.mount("tmpfs", root + target, "tmpfs", options="mode=1777" + size)


def show_file(root, source, target):
    os.makedirs(os.path.dirname(root + target), exist_ok=True)
    Path(root + target).touch()
    host.mount(source, root + target, flags=host.MS_BIND)


def become(spec):
    """Become PID 1 of the container."""
    die_with_parent()
    os.setsid()
    os.umask(0o022)
    make_root(spec)
    call(host.LIBC.sethostname, spec["hostname"].encode(), len(spec["hostname"]))
    directory = spec["directory"] or "/"
    os.makedirs(directory, exist_ok=True)
    os.chdir(directory)
    if spec["groups"]:
        os.setgroups(spec["groups"])
    if spec["user"] or spec["group"]:
        os.setgid(spec["group"])
        os.setuid(spec["user"])
        die_with_parent()  # A change of the user takes it back.
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvpe(spec["command"][0], spec["command"], spec["env"])


def watch_over(spec, failure):
    """Start PID 1 in namespaces of its own, and end as it ended; the parent of a PID 1 must be in its host."""
    die_with_parent()
    call(host.LIBC.unshare, NEW_NAMESPACES)
    child = os.fork()
    if child == 0:
        try:
            become(spec)
        except BaseException as error:  # What keeps a container from starting is an answer, not a crash.
            os.write(failure, f"{type(error).__name__}: {error}".encode())
        os._exit(128)
    os.close(failure)
    for descriptor in (0, 1, 2):
        os.close(descriptor)
    _, code = os.waitpid(child, 0)
    os._exit(128 + os.WTERMSIG(code) if os.WIFSIGNALED(code) else os.WEXITSTATUS(code))


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pass_signals(parent, first):
    """Pass on signals until the container has ended; return its exit code, or None where its host is gone."""
    ended = os.pidfd_open(parent)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ended in ready:
            _, code = os.waitpid(parent, 0)
            return None if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)
        words = os.read(0, 4096).split()
        if not words:
            os.kill(parent, signal.SIGKILL)
            poll.unregister(0)
        for word in words:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, int(word))


def first_line():
    text = b""
    while not text.endswith(b"\n"):
        more = os.read(0, 1 << 20)
        if not more:
            sys.exit("the container's start was cut off")
        text += more
    return text


def main():
    report, spec = int(sys.argv[1]), json.loads(first_line())
    os.set_inheritable(report, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(**what):
        os.write(report, json.dumps(what).encode() + b"\n")

    try:
        join(spec["init_pid"])
    except OSError as error:
        tell(failed=f"no host: {error}")
        return
    failed, failure = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(failed)
        os.close(report)
        watch_over(spec, failure)
    os.close(failure)
    for descriptor in (1, 2):
        os.close(descriptor)
    why = b"".join(iter(lambda: os.read(failed, 4096), b""))
    if why:
        os.waitpid(parent, 0)
        tell(failed=why.decode(errors="replace"))
        return
    first = children(parent)
    tell(pid=first[0] if first else 0)
    tell(code=pass_signals(parent, first[0] if first else parent))


if __name__ == "__main__":
    main()
