# SPDX-License-Identifier: Apache-2.0
"""
A real Slurm on a lab's hosts: controller and credentials on this machine, its login side, and a daemon per host.

Configuration, state, logs and credentials are in ``.slurm`` in the shared directory of the lab. All of it ends with
the lab: processes on this machine carry its mark, and those of a host end with the host.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from madctl.errors import refused
from madctl.lab import network, state
from madctl.lab.spec import Lab

PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
}
GPUS = 2
# More than the machine has: otherwise jobs that wait for each other would block the next one.
_CPUS = 16
_FIRST_PORT = 21000  # a controller listens on all addresses of this machine, so each lab has its own port
_NULL_DEVICE = os.makedev(1, 3)
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONFIGURATION = """\
ClusterName={cluster}
SlurmctldHost={login}({gateway})
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.sock
MpiDefault=none
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
ReturnToService=2
MailProg=/bin/true
StateSaveLocation={place}/state
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.%n.log
SlurmdTimeout=30
MinJobAge=300
SchedulerParameters=sched_interval=1,sched_min_interval=0
SlurmdParameters=config_overrides
{nodes}PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def configuration_file(lab: Lab) -> Path:
    """
    Return the configuration file with which programs on this machine use a lab's Slurm.

    Raises:
        UsageError: If the lab has none.
    """
    file = _place(lab) / "slurm.conf"
    if not file.exists():
        remedy = f"take it down, then start it with one: madctl lab up --slurm --name {lab.name}"
        raise refused("LAB_NO_SLURM", f"lab {lab.name} has no Slurm", remedy=remedy)
    return file


def environment(lab: Lab) -> dict[str, str]:
    """
    Return the environment variables with which programs on this machine use a lab's Slurm.

    Raises:
        UsageError: If the lab has none.
    """
    return {"SLURM_CONF": str(configuration_file(lab))}


def _place(lab: Lab) -> Path:
    return Path(lab.shared) / ".slurm"


def require_programs() -> None:
    """
    Check that Slurm is installed on this machine: the hosts see its programs.

    Raises:
        UsageError: If a program is missing.
    """
    missing = [program for program in PROGRAMS if shutil.which(program, path=_SYSTEM_PATH) is None]
    if missing:
        packages = " ".join(sorted({PROGRAMS[program] for program in missing}))
        remedy = f"on Debian or Ubuntu: apt-get install -y --no-install-recommends {packages}"
        raise refused("LAB_NEEDS_PROGRAM", f"a lab with Slurm needs {', '.join(missing)}", remedy=remedy)


def configuration(lab: Lab, place: Path, login: str, proctrack: str, more: Sequence[str] = ()) -> str:
    """Write slurm.conf: every host is a node with its management address, plenty of CPUs, and GPUs."""
    about = f"CPUs={_CPUS} RealMemory=1000 Gres=gpu:{GPUS} State=UNKNOWN"
    nodes = [f"NodeName={host.name} NodeAddr={host.management_address} {about}\n" for host in lab.hosts]
    return CONFIGURATION.format(
        cluster=lab.name,
        login=login,
        gateway=lab.gateway,
        port=_FIRST_PORT + lab.index,
        place=place,
        proctrack=proctrack,
        nodes="".join([*nodes, *(f"{line}\n" for line in more)]),
    )


def start(lab: Lab, proctrack: str = "linuxproc", more: Sequence[str] = (), path: str = _SYSTEM_PATH) -> None:
    """
    Start Slurm on a lab that is up, and wait until all of its nodes are idle.

    Args:
        proctrack: How it tracks the processes of a step: by parent, ``linuxproc``, or by ``cgroup``, where a signal
            to a step reaches only the program that the step started, and empty groups outlive the lab.
        more: Additional lines of slurm.conf.
        path: The search path for its programs, of which several versions may be installed.

    Raises:
        UsageError: If a daemon does not start; the message has the last line of its log.
    """
    place = _place(lab)
    place.mkdir()
    place.chmod(0o755)  # munge refuses a directory that others cannot enter.
    _write_files(lab, place, proctrack, more)
    names = {"--key-file": "munge.key", "--socket": "munge.sock", "--pid-file": "munge.pid", "--seed-file": "seed"}
    words = [f"{option}={place / name}" for option, name in names.items()]
    _spawn(lab, path, ["munged", "--foreground", "--force", *words], place / "munged.log")
    if not network.wait_until((place / "munge.sock").exists):
        raise _failed(place, "munged.log")
    start_controller(lab, "-c", path=path)
    for host in lab.hosts:
        enter = ["nsenter", "-t", str(host.init_pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]
        _spawn(lab, path, [*enter, "slurmd", "-D", "-N", host.name], place / f"slurmd.{host.name}.out")
    if not network.wait_until(lambda: _idle(lab, path) == len(lab.hosts)):
        raise _failed(place, "slurmctld.log")


def start_controller(lab: Lab, *words: str, path: str = _SYSTEM_PATH) -> None:
    """Start the controller of a lab's Slurm; one that is restarted still knows its jobs."""
    _spawn(lab, path, ["slurmctld", "-D", *words], _place(lab) / "slurmctld.out")


def _write_files(lab: Lab, place: Path, proctrack: str, more: Sequence[str]) -> None:
    (place / "state").mkdir()
    text = configuration(lab, place, socket.gethostname().split(".")[0], proctrack, more)
    (place / "slurm.conf").write_text(text)
    (place / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    devices = f"{place}/gpu[0-{GPUS - 1}]"
    lines = (f"NodeName={host.name} Name=gpu File={devices}\n" for host in lab.hosts)
    (place / "gres.conf").write_text("".join(lines))
    for number in range(GPUS):
        os.mknod(place / f"gpu{number}", stat.S_IFCHR | 0o666, _NULL_DEVICE)
    key = os.open(place / "munge.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with open(key, "wb") as stream:
        stream.write(secrets.token_bytes(128))


def _idle(lab: Lab, path: str) -> int:
    """Return how many nodes are idle."""
    argv, variables = ["sinfo", "-h", "-t", "idle", "-o", "%D"], _environment(lab, path)
    said = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False).stdout.strip()
    return int(said) if said.isdigit() else 0


def _environment(lab: Lab, path: str) -> dict[str, str]:
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": "/root", state.MARK: lab.name, **environment(lab)}


def _spawn(lab: Lab, path: str, argv: list[str], log: Path) -> None:
    null = subprocess.DEVNULL
    with log.open("wb") as output:
        subprocess.Popen(
            argv, stdin=null, stdout=output, stderr=output, start_new_session=True, cwd="/", env=_environment(lab, path)
        )


def _failed(place: Path, log: str) -> Exception:
    try:
        said = (place / log).read_text(errors="replace").strip().splitlines()
    except OSError:
        said = []
    return refused("LAB_BOOT_FAILED", f"Slurm did not start: {said[-1] if said else 'it wrote nothing'}")
