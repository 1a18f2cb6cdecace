# SPDX-License-Identifier: Apache-2.0
"""
Inspect one node and return facts, without any judgement: ``planner`` judges.

Everything that can hang is done in a child process with a deadline. Private to the collection.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import resource
import socket
import sys
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    addresses,
    command_line,
    run_directory,
    runners,
    visible_gpus,
)
from ansible_collections.madctl.multinode.plugins.module_utils._node import (
    deadlines,
    docker,
    executables,
    mount_table,
    netlink,
    procfs,
    resolver,
    small_files,
)
from ansible_collections.madctl.multinode.plugins.module_utils._probe import (
    fingerprint,
    gpus,
    ifconfig_text,
    model_cards,
)

ARGUMENTS: Dict[str, Any] = {
    "work": {"type": "list", "elements": "raw", "default": []},
    "shape": {"type": "str", "choices": list(runners.shapes()), "default": runners.shapes()[0]},
    "tags": {"type": "list", "elements": "str", "default": []},
    "python": {"type": "str"},
    "mpirun": {"type": "str"},
    "mpi": {"type": "bool", "default": True},
    "chdir": {"type": "str"},
    "port": {"type": "str", "default": "auto"},
    "shared_paths": {"type": "list", "elements": "str", "default": []},
    "run_dir": {"type": "str"},
    "env": {"type": "dict", "default": {}},
    "write": {"type": "bool", "default": False},
    "setup": {"type": "str", "default": ""},
    "login_shell": {"type": "bool", "default": False},
    "start_timeout": {"type": "float", "default": 60},
}
_OF_WAY = (addresses.CAME_IN_BY, "SSH_CONNECTION")
_NAME_CHARACTERS, _ERROR_CHARACTERS = 256, 1000
# A vendor's tool may take 5 s, and there may be two tools to run.
_GPU_SECONDS = 11.0
# A minute for the version of madengine; then docker is called twice.
_MADENGINE_SECONDS = 85.0
_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def node_info(request: Dict[str, Any]) -> Dict[str, Any]:
    """Return the result of the module ``node_info``."""
    try:
        request = _set_up(request)
    except OSError as error:
        return {"failed": True, "setup": True, "msg": str(error)}
    return {"changed": False, "node": collect(request)}


def _set_up(request: Dict[str, Any]) -> Dict[str, Any]:
    """Run the user's setup, if any, and change to its directory, so that everything is found as the job finds it."""
    if not request.get("setup") and not request.get("login_shell"):
        return request
    asked = {
        "text": request["setup"] or "",
        "login": request["login_shell"],
        "seconds": request["start_timeout"],
    }
    chdir, before = request["chdir"], dict(os.environ)
    cwd = chdir if chdir and os.path.isdir(chdir) else os.path.expanduser("~")
    left = _left(asked, cwd, {**before, **request["env"]})
    with contextlib.suppress(OSError, ValueError):
        for name, (soft, hard) in left.limits.items():
            resource.setrlimit(getattr(resource, name), (soft, hard))
    os.environ.clear()
    # These show how this node was reached, whatever the setup does to them.
    os.environ.update({**left.env, **{name: before[name] for name in _OF_WAY if name in before}})
    return {**request, "env": {}, "chdir": left.cwd if left.cwd != cwd else chdir}


def _left(asked: Dict[str, Any], cwd: str, environment: Dict[str, str]) -> Any:
    """Run a setup; in code that is kept for all runs, use a copy, in which it may build as in the run's own."""
    # Slow to import.
    from ansible_collections.madctl.multinode.plugins.module_utils._node import node_setup, trees

    files = trees.around(cwd)
    if files is None:
        return node_setup.run(asked, cwd, environment)
    with trees.lent(files) as own:
        left = node_setup.run(asked, own + cwd[len(files) :], environment)
    env = {name: value.replace(own, files) for name, value in left.env.items()}
    place = left.cwd.replace(own, files, 1)
    # What the setup has built is removed with its copy.
    return left._replace(env=env, cwd=place if os.path.isdir(place) else cwd)


def collect(request: Dict[str, Any]) -> Dict[str, Any]:
    """
    Inspect everything that a plan for ``request`` needs.

    Args:
        request: As ``ARGUMENTS`` describes it: ``work`` (the user's words), ``shape``, ``python`` and ``chdir``
            (path or None), ``port`` (number or "auto"), ``shared_paths`` (``PATH`` or ``PATH:ro``),
            ``mpi`` (whether to look for mpirun), ``run_dir`` (base directory of runs), ``write`` (whether to
            write files for a proof), ``env`` (those variables of the job that affect what it finds).
    """
    begun, hostname = time.time(), socket.gethostname()
    answers = _answers(request, hostname)
    values = {name: answer.get("value") for name, answer in answers.items() if not name.startswith("mount")}
    values["gpus"] = values["gpus"] or gpus.unknown("GPU detection did not finish")
    ifconfig = executables.which("ifconfig", _SYSTEM_PATH)
    cards, unreadable = interfaces(ifconfig) if ifconfig else ([], None)
    return {
        "hostname": hostname,
        "machine_id": small_files.text("/etc/machine-id", _NAME_CHARACTERS),
        "boot_id": procfs.boot_id() or None,
        "kernel": os.uname().release,
        "user_id": os.geteuid(),
        "group_id": os.getegid(),
        "home": os.path.expanduser("~"),
        "interpreter": sys.executable,
        "ifconfig": ifconfig,
        "ifconfig_error": unreadable,
        "interfaces": cards,
        "routes": netlink.routes(),
        "management_address": os.environ.get(addresses.CAME_IN_BY)
        or _came_in_by(os.environ.get("SSH_CONNECTION", ""), cards),
        "port": port(0 if request["port"] == "auto" else int(request["port"])),
        "privileged_below": int(small_files.text("/proc/sys/net/ipv4/ip_unprivileged_port_start") or 1024),
        "limits": fingerprint.limits(),
        "visible": {name: os.environ[name] for name in visible_gpus.NAMES if name in os.environ},
        # None if unknown; the reason is in "trouble".
        **values,
        "nccl_files": (values["files"] or {}).get("nccl_files"),
        "mpi": (values["python"] or {}).get("mpi"),
        "locked_by": (values["space"] or {}).get("locked_by"),
        "mounts": [_mount(path, answers["mount%d" % number]) for number, path in enumerate(request["shared_paths"])],
        "trouble": {name: answer for name, answer in answers.items() if "value" not in answer},
        "time": {"begun": begun, "ended": time.time()},
    }


def _answers(request: Dict[str, Any], hostname: str) -> Dict[str, Dict[str, Any]]:
    """Make the calls that may hang, each in a child with a deadline."""
    work, shape, env = request["work"], request["shape"], request["env"]
    job = runners.job_of(shape)
    entry, program = command_line.entry_script(work, shape), command_line.program(work, shape)
    python = (
        *(command_line.chosen_python(work, shape, request["python"]), job.uses_python, request["mpirun"]),
        *(command_line.module(work, shape), request["chdir"], env, request.get("mpi", True)),
    )
    run_base = request["run_dir"] or run_directory.base(os.geteuid())
    return deadlines.together(
        {
            "files": (fingerprint.files, (request["chdir"], entry, program, env.get("PATH"))),
            "python": (fingerprint.python, python),
            "names": (resolver.resolve, (hostname,)),
            "gpus": (gpus.gpus, ()),
            "space": (fingerprint.space, (run_base,)),
            **_storage(request),
            **(_models(request) if job.has_models else {}),
        },
        # The first start of a large Python installation may be slow.
        patience={"python": fingerprint.PYTHON_SECONDS, "gpus": _GPU_SECONDS, "madengine": _MADENGINE_SECONDS},
    )


def _models(request: Dict[str, Any]) -> Dict[str, deadlines.Call]:
    return {
        "madengine": (docker.look, (request["python"],)),
        "models": (model_cards.look, (request["chdir"], request.get("tags") or [])),
    }


def _storage(request: Dict[str, Any]) -> Dict[str, deadlines.Call]:
    return {
        "mount%d" % number: (mount_table.look, (*_split(path), request["write"]))
        for number, path in enumerate(request["shared_paths"])
    }


def _split(path: str) -> Tuple[str, bool]:
    """Return a shared path, and whether it is read-only."""
    return (path[:-3], True) if path.endswith(":ro") else (path, False)


def _mount(path: str, answer: Dict[str, Any]) -> Dict[str, Any]:
    """Describe one shared path, only from mountinfo if the path does not respond."""
    real, read_only = _split(path)
    described = {"path": real, "read_only": read_only, "hung": answer.get("hung"), "error": answer.get("error")}
    return dict(answer.get("value") or mount_table.entry(os.path.normpath(real)), **described)


def _came_in_by(connection: str, cards: Sequence[Dict[str, Any]] = ()) -> Optional[str]:
    """
    Return this node's address of an SSH connection; None if sshd knows none.

    A link-local address is meaningless without its device, so another address of that device replaces it.
    """
    words = connection.split(" ")
    address, _, device_name = words[2].partition("%") if len(words) == 4 else ("", "", "")
    if not address or not set(address) <= set("0123456789abcdefABCDEF.:"):
        return None
    others = [own["address"] for entry in cards if entry["name"] == device_name for own in entry["addresses"]]
    return others[0] if others else address


def interfaces(ifconfig: str) -> Tuple[List[Dict[str, Any]], Optional[str]]:
    """Combine ifconfig's output with the kernel's facts about each device, or return why it cannot be parsed."""
    links = netlink.links()
    try:
        text = executables.output([ifconfig, "-a"], dict(os.environ, LC_ALL="C")).decode("utf-8", "replace")
        found = ifconfig_text.parse(text)
        # An old ifconfig truncates long names: its lines belong to another interface, or to none.
        cut = [entry["name"] for entry in found if links and entry["addresses"] and entry["name"] not in links]
        if cut:
            raise ifconfig_text.Unreadable("the kernel has no interface %s" % ascii(cut[0][:60]))
    except (OSError, ifconfig_text.Unreadable) as error:
        return [], str(error)[:_ERROR_CHARACTERS]
    return [dict(entry, **device(entry["name"], links.get(entry["name"], {}))) for entry in found], None


def device(name: str, kernel: netlink.Link) -> Dict[str, Any]:
    """Read from sysfs the kind of a network device, what it belongs to, and what belongs to it."""
    base = "/sys/class/net/" + name

    def link(part: str) -> Optional[str]:
        path = os.path.join(base, part)
        return os.path.basename(os.readlink(path)) if os.path.islink(path) else None

    return {
        "kind": kernel.get("kind") or ("tun" if os.path.exists(base + "/tun_flags") else None),
        "peer": kernel.get("peer"),
        "physical": os.path.exists(base + "/device"),
        "rdma": os.path.isdir(base + "/device/infiniband"),
        "bridge": os.path.isdir(base + "/bridge"),
        "bond": os.path.isdir(base + "/bonding"),
        "vrf": "DEVTYPE=vrf" in (small_files.text(base + "/uevent") or ""),
        "master": link("master"),
        "lower": [os.path.basename(path)[6:] for path in sorted(glob.glob(base + "/lower_*"))],
    }


def port(number: int) -> Dict[str, Any]:
    """Check whether the master port is free, which process has it otherwise, and find a port that is free."""
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
    """Return the process that listens on a TCP port, as far as this user may see it."""
    listening = (entry for entry in procfs.connections(("tcp", "tcp6")) if entry.state == procfs.LISTEN)
    inodes = {entry.inode for entry in listening if int(entry.own.rpartition(":")[2], 16) == number}
    for pid in procfs.numbered():
        if inodes.intersection(procfs.sockets(pid)):
            return "pid %d (%s)" % (pid, small_files.text("/proc/%d/comm" % pid))
    return None
