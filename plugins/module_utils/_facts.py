# SPDX-License-Identifier: Apache-2.0
"""
Look at one node and say what is there. Facts only, never a judgement: ``_plan`` judges.

Everything that can hang is touched in a child process with a deadline. Private to the collection.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import socket
import subprocess
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils import _argv, _ifconfig

TOUCH_SECONDS = 5.0
ARGUMENTS: Dict[str, Any] = {
    "work": {"type": "list", "elements": "raw", "default": []},
    "shape": {"type": "str", "choices": ["script", "command"], "default": "script"},
    "python": {"type": "str"},
    "chdir": {"type": "str"},
    "port": {"type": "str", "default": "auto"},
    "shared_paths": {"type": "list", "elements": "str", "default": []},
}
_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_PYTHON_REPORT = (
    "import sys, json, importlib.util as u;"
    "print(json.dumps({'executable': sys.executable, 'version': list(sys.version_info[:3]),"
    " 'torch': u.find_spec('torch') is not None}))"
)


def node_info(request: Dict[str, Any]) -> Dict[str, Any]:
    """Give what the module of that name returns."""
    return {"changed": False, "node": collect(request)}


def collect(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Look at everything that a plan for ``request`` needs.

    Args:
        request: ``work`` (the user's words), ``shape``, ``python`` and ``chdir`` (path or None), ``port``
            (number or "auto"), ``shared_paths`` (list of paths).
    """
    work, script = request["work"], request["shape"] == "script"
    entry = _argv.entry_script(work) if work else None
    port_number = 0 if request["port"] == "auto" else int(request["port"])
    ifconfig = shutil.which("ifconfig", path=_SYSTEM_PATH)
    return {
        "hostname": socket.gethostname(),
        "machine_id": _read("/etc/machine-id"),
        "boot_id": _read("/proc/sys/kernel/random/boot_id"),
        "user_id": os.geteuid(),
        "interpreter": sys.executable,
        "ifconfig": ifconfig,
        "interfaces": interfaces(ifconfig) if ifconfig else [],
        "management_address": os.environ.get("SSH_CONNECTION", "   ").split(" ")[2] or None,
        "gpus": gpus(),
        "port": port(port_number),
        "privileged_below": int(_read("/proc/sys/net/ipv4/ip_unprivileged_port_start") or 1024),
        "mounts": [bounded(mount, path, path=path) for path in request["shared_paths"]],
        "python": python(request["python"], script),
        **bounded(files, (request["chdir"], entry), chdir_exists=False, home="/", entry_exists=False),
    }


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return None


def bounded(function: Callable[..., Dict[str, Any]], argument: Any, **when_hung: Any) -> Dict[str, Any]:
    """Call a function that may hang in a child, and leave the child alone when it does."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, json.dumps(function(argument)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    import select

    answer = b""
    while select.select([reader], [], [], TOUCH_SECONDS)[0]:
        piece = os.read(reader, 65536)
        if not piece:
            break
        answer += piece
    os.close(reader)
    if not answer:
        return dict(when_hung, hung=True)
    os.waitpid(pid, 0)
    return dict(json.loads(answer))


def interfaces(ifconfig: str) -> List[Dict[str, Any]]:
    """Join what ifconfig prints with what the kernel says of each device."""
    output = subprocess.run([ifconfig, "-a"], stdout=subprocess.PIPE, env={"LC_ALL": "C"}, check=False).stdout
    return [dict(entry, **device(entry["name"])) for entry in _ifconfig.parse(output.decode("utf-8", "replace"))]


def device(name: str) -> Dict[str, Any]:
    """Read a network device's place in sysfs: what it is, what it belongs to, what belongs to it."""
    base = "/sys/class/net/" + name

    def link(part: str) -> Optional[str]:
        path = os.path.join(base, part)
        return os.path.basename(os.readlink(path)) if os.path.islink(path) else None

    return {
        "physical": os.path.exists(base + "/device"),
        "bridge": os.path.isdir(base + "/bridge"),
        "bond": os.path.isdir(base + "/bonding"),
        "master": link("master"),
        "lower": [os.path.basename(path)[6:] for path in sorted(glob.glob(base + "/lower_*"))],
    }


def gpus() -> Dict[str, Any]:
    """Count GPUs in the kernel's own view: AMD by the KFD topology, NVIDIA by its proc directory."""
    amd = 0
    for node in glob.glob("/sys/class/kfd/kfd/topology/nodes/*/properties"):
        lines = (_read(node) or "").splitlines()
        amd += any(
            line.split()[0] == "simd_count" and line.split()[1] != "0" for line in lines if len(line.split()) > 1
        )
    nvidia = len(glob.glob("/proc/driver/nvidia/gpus/*"))
    return {"vendor": "amd" if amd else "nvidia" if nvidia else None, "count": amd or nvidia}


def port(number: int) -> Dict[str, Any]:
    """Try the master port: whether it is free, who has it, and one that is free anyway."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("", 0))
        free = probe.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
            probe.listen(1)
            cause = None
        except OSError as error:
            cause = errno.errorcode.get(error.errno or 0, str(error))
    return {"number": number, "error": cause, "free": free, "holder": holder(number) if cause == "EADDRINUSE" else None}


def holder(number: int) -> Optional[str]:
    """Name the process that listens on a TCP port, as far as this user may see it."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in (_read(table) or "").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == number:
                inodes.add("socket:[%s]" % fields[9])
    for path in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(path) in inodes:
                pid = path.split("/")[2]
                return "pid %s (%s)" % (pid, _read("/proc/%s/comm" % pid))
        except OSError:
            continue
    return None


def mount(path: str) -> Dict[str, Any]:
    """Find the mount that holds a path, in mountinfo; nothing is created."""
    real = os.path.realpath(path)
    exists = os.path.isdir(real)
    found: Dict[str, Any] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            left, _, right = line.partition(" - ")
            fields, kind = left.split(), right.split()
            point = fields[4].encode().decode("unicode_escape")
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(found.get("point", "")):
                found = {"point": point, "fstype": kind[0], "source": kind[1], "root": fields[3], "options": fields[5]}
    return dict(found, path=path, exists=exists, hung=False)


def python(wanted: Optional[str], torch: bool) -> Dict[str, Any]:
    """Find the job's Python: the wanted path where it exists, and this node's own python3 otherwise."""
    own = shutil.which("python3", path=os.environ.get("PATH", os.defpath))
    result: Dict[str, Any] = {"wanted": wanted, "own": own}
    for key in ("wanted", "own"):
        path = result[key]
        usable = bool(path) and os.path.isfile(path) and os.access(path, os.X_OK)
        result[key + "_exists"] = usable
        # The node's own is the second choice: it is asked only where the first is missing.
        asked = torch and usable and not (key == "own" and result["wanted_exists"])
        result[key + "_torch"] = asked and _has_torch(path)
    return result


def _has_torch(path: str) -> bool:
    try:
        done = subprocess.run(
            [path, "-c", _PYTHON_REPORT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=True
        )
        return bool(json.loads(done.stdout)["torch"])
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def files(paths: Tuple[Optional[str], Optional[str]]) -> Dict[str, Any]:
    """Look whether the working directory and the entry script are there."""
    chdir, entry = paths
    has_chdir = chdir is not None and os.path.isdir(chdir)
    base = chdir if chdir is not None and has_chdir else os.path.expanduser("~")
    return {
        "chdir_exists": has_chdir,
        "home": os.path.expanduser("~"),
        "entry_exists": None if entry is None else os.path.isfile(os.path.join(base, entry)),
    }
