# SPDX-License-Identifier: Apache-2.0
"""
The fault matrix: every fault is put into real hosts, and a check names it, the host and the code.

The healthy cluster first passes with the words of each fault, once for all faults that prepare the same; then each test
injects, checks and repairs. When all is repaired, it has to pass again, with the same warnings as in the beginning. The
matrix is printed at the end of the run, and ``docs/reference/faults.md`` holds the same rows.
"""

import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest

from tests.integration import glusterfs
from tests.integration.command import madctl
from tests.integration.host_processes import left_behind
from tests.integration.storage_cluster import HOSTS, MASTER, NODE2, traces

pytestmark = pytest.mark.lab

LIMIT_SECONDS = 30
# The data interface has another name on node3.
DATA = "D=$(basename $(ls -d /sys/class/net/ens14np0 /sys/class/net/ib0 2>/dev/null)); "
GPU_TOOL = """\
#!/bin/sh
case "$*" in
*compute*) {holders};;
*) for i in $(seq {count}); do echo "$((i-1)), NVIDIA H100, {driver}, GPU-$i"; done;;
esac
"""


def gpus(count, driver="550.54", holders="true"):
    """A stand-in for nvidia-smi: there is no GPU in a lab, and no kernel driver to make one appear."""
    return glusterfs.write(
        "/usr/local/bin/nvidia-smi", GPU_TOOL.format(count=count, driver=driver, holders=holders)
    ) + ("chmod +x /usr/local/bin/nvidia-smi")


NO_GPUS = "rm -f /usr/local/bin/nvidia-smi"
EIGHT = dict.fromkeys(HOSTS, gpus(8))
NONE = dict.fromkeys(HOSTS, NO_GPUS)
WRAPPER = "/opt/job/python"


def wrapper(prefix=""):
    """A job's Python of its own on every host, so that one of them can differ."""
    text = f'#!/bin/sh\n{prefix}exec {sys.executable} "$@"\n'
    return f"mkdir -p /opt/job; {glusterfs.write(WRAPPER, text)}chmod +x {WRAPPER}"


OTHER_TORCH = (
    "mkdir -p /opt/other/torch; echo > /opt/other/torch/__init__.py; "
    + glusterfs.write("/opt/other/torch/version.py", "__version__ = '2.0.1+cpu'\n")
    + wrapper("export PYTHONPATH=/opt/other\n")
)
ENTRY = "/root/train.py"
TOOL = dict.fromkeys(HOSTS, "printf '#!/bin/sh\\n' > /usr/local/bin/tool; chmod +x /usr/local/bin/tool")
SCRIPT = dict.fromkeys(HOSTS, f"echo 'print(1)' > {ENTRY}")


@dataclass(frozen=True)
class Fault:
    """One row: what is wrong, where, and what has to come of it."""

    name: str
    code: str
    hosts: tuple = ("node2",)
    exit: int = 3
    inject: dict = field(default_factory=dict)
    repair: dict = field(default_factory=dict)
    prepare: dict = field(default_factory=dict)
    restore: dict = field(default_factory=dict)
    words: tuple = ()
    faulty_words: tuple = ()
    work: tuple = ()
    storage: bool = True
    warning: bool = False
    says: str = ""
    python: str = sys.executable
    fresh: bool = False
    connected: bool = False


def one(host, inject, repair):
    """Break one host and repair it."""
    return {"inject": {host: inject}, "repair": {host: repair}}


def every(inject, repair):
    """Break all hosts and repair them."""
    return {"inject": dict.fromkeys(HOSTS, inject), "repair": dict.fromkeys(HOSTS, repair)}


def listener(port):
    """A process that listens on a port of all addresses."""
    code = f'import socket,time;s=socket.create_server(("",{port}));time.sleep(300)'
    return (
        f"/usr/bin/python3 -c '{code}' </dev/null >/dev/null 2>&1 & echo $! > /run/listener.pid; "
        f"until ss -ltn | grep -q :{port}; do sleep 0.05; done"
    )


FIREWALL = "iptables -F INPUT"
REMOUNT = "/root/nfs.sh down; /root/nfs.sh up a"
# What a check started there ends a moment after it.
UMOUNT_SMALL = "until umount /small; do sleep 0.05; done"

FAULTS = [
    # reach
    Fault(
        "management link cut",
        "HOST_UNREACHABLE",
        exit=4,
        fresh=True,
        **one("node2", "ip link set eno1 down", "ip link set eno1 up"),
    ),
    Fault(
        "link cut under an open connection",
        "HOST_UNREACHABLE",
        exit=4,
        connected=True,
        **one("node2", "ip link set eno1 down", "ip link set eno1 up"),
    ),
    Fault(
        "key not accepted",
        "AUTHENTICATION_FAILED",
        exit=4,
        fresh=True,
        **one("node2", "mv /run/lab/authorized_keys /run/lab/hidden", "mv /run/lab/hidden /run/lab/authorized_keys"),
    ),
    Fault(
        "sshd stopped answering",
        "HOST_UNREACHABLE",
        exit=4,
        fresh=True,
        **one("node2", "pkill -STOP -o sshd", "pkill -CONT -o sshd"),
    ),
    Fault(
        "no Python on the node",
        "PYTHON_MISSING",
        **one("node2", "mv /usr/bin/python3 /usr/bin/hidden", "mv /usr/bin/hidden /usr/bin/python3"),
    ),
    Fault(
        "a Python that never answers",
        "PROBE_FAILED",
        **one(
            "node2",
            "mv /usr/bin/python3 /usr/bin/hidden; printf '#!/bin/sh\\nexec sleep 600\\n' > /usr/bin/python3; "
            "chmod +x /usr/bin/python3",
            "mv /usr/bin/hidden /usr/bin/python3; pkill -x sleep",
        ),
    ),
    # machine
    Fault(
        "the same machine under two names",
        "DUPLICATE_MACHINE",
        ("node3",),
        **one(
            "node3",
            "cp /etc/machine-id /etc/own-id; cp /run/boot_id /run/own_id; echo NODE2_ID > /etc/machine-id; "
            "echo NODE2_BOOT > /run/boot_id",
            "cat /etc/own-id > /etc/machine-id; cat /run/own_id > /run/boot_id",
        ),
    ),
    Fault(
        "another run holds the node",
        "NODE_BUSY",
        says="20260101-somebody",
        **one(
            "node2",
            "umask 077; mkdir -p /var/tmp/madctl-0; echo 20260101-somebody > /var/tmp/madctl-0/lock; "
            "setsid flock /var/tmp/madctl-0/lock sleep 300 </dev/null >/dev/null 2>&1 & echo $! > /run/holder.pid; "
            "while flock -n /var/tmp/madctl-0/lock true; do sleep 0.05; done",
            "pkill -g $(cat /run/holder.pid); until flock -n /var/tmp/madctl-0/lock true; do sleep 0.05; done",
        ),
    ),
    # network
    Fault(
        "no ifconfig, and it may not be installed",
        "NET_TOOLS_MISSING",
        words=("--no-install",),
        **one("node2", "mv /sbin/ifconfig /root/ifconfig", "mv /root/ifconfig /sbin/ifconfig"),
    ),
    Fault(
        "data link down on one node",
        "NETWORK_MISSING",
        storage=False,
        **one("node2", DATA + "ip link set $D down", DATA + "ip link set $D up"),
    ),
    Fault(
        "one node in another subnet",
        "NETWORK_MISSING",
        storage=False,
        **one(
            "node2",
            DATA + f"ip addr del {NODE2}/24 dev $D; ip addr add 10.97.0.2/24 dev $D",
            DATA + f"ip addr del 10.97.0.2/24 dev $D; ip addr add {NODE2}/24 dev $D",
        ),
    ),
    Fault(
        "two nodes have the same address",
        "ADDRESS_TWICE",
        ("node2", "node3"),
        storage=False,
        **one(
            "node3",
            DATA + f"ip addr del NODE3_DATA/24 dev $D; ip addr add {NODE2}/24 dev $D",
            DATA + f"ip addr del {NODE2}/24 dev $D; ip addr add NODE3_DATA/24 dev $D",
        ),
    ),
    Fault(
        "two data networks everywhere",
        "INTERFACE_AMBIGUOUS",
        HOSTS,
        **every(
            DATA + "ip link add link $D name extra0 type macvlan; "
            "ip addr add 10.99.0.$(hostname | tr -dc 0-9)/24 dev extra0; ip link set extra0 up",
            "ip link del extra0",
        ),
    ),
    Fault(
        "a network that takes in everything",
        "INTERFACE_AMBIGUOUS",
        HOSTS,
        says="eno1",
        faulty_words=("--interface", "0.0.0.0/0"),
    ),
    Fault(
        "an interface that has the same address everywhere",
        "ADDRESS_TWICE",
        HOSTS,
        says="docker0",
        faulty_words=("--interface", "docker0"),
    ),
    Fault(
        "a network that is asked for, down on one node",
        "INTERFACE_DOWN",
        storage=False,
        words=("--interface", "10.82.0.0/16"),
        **one("node2", DATA + "ip link set $D down", DATA + "ip link set $D up"),
    ),
    Fault(
        "all data links down",
        "MANAGEMENT_NETWORK",
        HOSTS,
        warning=True,
        exit=0,
        says="is down",
        storage=False,
        **every(DATA + "ip link set $D down", DATA + "ip link set $D up"),
    ),
    Fault(
        "an ifconfig of another kind",
        "IFCONFIG_UNREADABLE",
        **one(
            "node2",
            "mv /sbin/ifconfig /root/ifconfig; printf '#!/bin/sh\necho eth0 is up\n' > /sbin/ifconfig; "
            "chmod 755 /sbin/ifconfig",
            "mv /root/ifconfig /sbin/ifconfig",
        ),
    ),
    Fault("an interface that no node has", "INTERFACE_UNKNOWN", HOSTS, faulty_words=("--interface", "ib7")),
    Fault(
        "IPv4 here, IPv6 there",
        "FAMILY_MIXED",
        HOSTS,
        storage=False,
        words=("--interface", "dnet"),
        prepare=dict.fromkeys(
            HOSTS,
            DATA + "echo $D > /run/data; ip link set $D down; ip link set $D name dnet; ip link set dnet up",
        ),
        restore=dict.fromkeys(
            HOSTS, "ip link set dnet down; ip link set dnet name $(cat /run/data); ip link set $(cat /run/data) up"
        ),
        **one(
            "node2",
            f"ip addr del {NODE2}/24 dev dnet; ip addr add 2001:db8::2/64 dev dnet nodad",
            f"ip addr del 2001:db8::2/64 dev dnet; ip addr add {NODE2}/24 dev dnet",
        ),
    ),
    Fault(
        "another MTU on one node",
        "MTU_DIFFERS",
        warning=True,
        exit=0,
        **one("node2", DATA + "ip link set $D mtu 1400", DATA + "ip link set $D mtu 1500"),
    ),
    Fault(
        "an NCCL file names another interface",
        "NCCL_CONF",
        warning=True,
        exit=0,
        **one("node2", "echo NCCL_SOCKET_IFNAME=eno1 > /etc/nccl.conf", "rm /etc/nccl.conf"),
    ),
    # port
    Fault(
        "the master port is taken",
        "PORT_IN_USE",
        ("node1",),
        says="python3",
        **one("node1", listener(29500), "kill $(cat /run/listener.pid)"),
    ),
    # names
    Fault(
        "a node's own name is loopback",
        "NAME_IS_LOOPBACK",
        warning=True,
        exit=0,
        **one(
            "node2",
            "cp /etc/hosts /root/hosts; sed 's/^.* node2$/127.0.1.1 node2/' /root/hosts > /etc/hosts",
            "cat /root/hosts > /etc/hosts",
        ),
    ),
    Fault(
        "a peer's name is loopback",
        "PEER_IS_LOOPBACK",
        **one(
            "node2",
            "cp /etc/hosts /root/hosts; sed 's/^.* node3$/127.0.1.1 node3/' /root/hosts > /etc/hosts",
            "cat /root/hosts > /etc/hosts",
        ),
    ),
    # storage
    Fault(
        "not mounted: a local directory with the same content",
        "MOUNT_NOT_SHARED",
        **one("node2", "/root/nfs.sh down; mkdir -p /nfs; echo x > /nfs/data", "rm -r /nfs; /root/nfs.sh up a"),
    ),
    Fault(
        "the path does not exist",
        "MOUNT_MISSING",
        **one("node2", "/root/nfs.sh down; rmdir /nfs", "[ ! -e /nfs ] && /root/nfs.sh up a"),
    ),
    Fault(
        "a local directory bound to the path",
        "MOUNT_IS_BIND",
        **one(
            "node2",
            "/root/nfs.sh down; mkdir -p /srv/local; mount --bind /srv/local /nfs",
            "umount /nfs; /root/nfs.sh up a",
        ),
    ),
    Fault(
        "a file system in memory at the path",
        "MOUNT_NOT_SHARED",
        says="tmpfs",
        **one("node2", "/root/nfs.sh down; mount -t tmpfs none /nfs", "umount /nfs; /root/nfs.sh up a"),
    ),
    Fault(
        "another export at the path",
        "STORAGE_DIFFERS",
        **one("node2", "/root/nfs.sh down; /root/nfs.sh up b", REMOUNT),
    ),
    Fault(
        "another export, compared without writing",
        "STORAGE_DIFFERS",
        words=("--shared-path", "/nfs:ro"),
        prepare={"node1": "echo x > /nfs/data"},
        restore={"node1": "rm /nfs/data"},
        **one("node2", "/root/nfs.sh down; /root/nfs.sh up b", REMOUNT),
    ),
    Fault(
        "mounted read-only",
        "MOUNT_READ_ONLY",
        **one("node2", "mount -o remount,bind,ro /nfs", "mount -o remount,bind,rw /nfs"),
    ),
    Fault(
        "the server allows reading only",
        "MOUNT_READ_ONLY",
        **one("node2", "/root/nfs.sh down; /root/nfs.sh up a --read-only", REMOUNT),
    ),
    Fault(
        "one node's mount hangs",
        "MOUNT_HUNG",
        **one("node2", "kill -STOP $(cat /run/glusterfs.pid)", "kill -CONT $(cat /run/glusterfs.pid)"),
    ),
    Fault(
        "the file server hangs",
        "MOUNT_HUNG",
        HOSTS,
        inject={"node4": "kill -STOP $(cat /run/brick-a.pid)"},
        repair={"node4": "kill -CONT $(cat /run/brick-a.pid)"},
    ),
    Fault(
        "the file system's client died",
        "MOUNT_UNREADABLE",
        says="transport endpoint is not connected",
        **one("node2", "kill -9 $(cat /run/glusterfs.pid)", REMOUNT),
    ),
    Fault(
        "a type that counts by request, and is not shared",
        "STORAGE_DIFFERS",
        ("node2",),
        words=("--shared-path", "/nfs", "--shared-fstype", "tmpfs"),
        **one("node2", "/root/nfs.sh down; mount -t tmpfs none /nfs", "umount /nfs; /root/nfs.sh up a"),
    ),
    # gpus
    Fault("seven of eight GPUs", "GPU_COUNT_DIFFERS", prepare=EIGHT, restore=NONE, **one("node2", gpus(7), gpus(8))),
    Fault(
        "GPUs on some nodes only",
        "GPU_COUNT_DIFFERS",
        prepare=EIGHT,
        restore=NONE,
        **one("node2", NO_GPUS, gpus(8)),
    ),
    Fault(
        "fewer GPUs than processes",
        "GPU_TOO_FEW",
        prepare=EIGHT,
        restore=NONE,
        words=("--nproc-per-node", "8"),
        **one("node2", gpus(7), gpus(8)),
    ),
    Fault(
        "another driver",
        "GPU_DRIVER_DIFFERS",
        prepare=EIGHT,
        restore=NONE,
        **one("node2", gpus(8, "535.10"), gpus(8)),
    ),
    Fault(
        "a vendor's tool that hangs",
        "GPU_TOOL_FAILED",
        prepare=EIGHT,
        restore=NONE,
        **one("node2", "printf '#!/bin/sh\\nexec sleep 600\\n' > /usr/local/bin/nvidia-smi", gpus(8)),
    ),
    Fault(
        "a vendor's tool that fails",
        "GPU_TOOL_FAILED",
        prepare=EIGHT,
        restore=NONE,
        says="has failed",
        **one("node2", "printf '#!/bin/sh\\necho has failed; exit 9\\n' > /usr/local/bin/nvidia-smi", gpus(8)),
    ),
    Fault(
        "a stranger's process holds a GPU",
        "GPU_BUSY",
        prepare=EIGHT,
        restore=NONE,
        says="sleep",
        **one(
            "node2",
            "setsid sleep 300 </dev/null >/dev/null 2>&1 & echo $! > /run/held.pid; "
            + gpus(8, holders='echo "$(cat /run/held.pid), GPU-3"'),
            "kill $(cat /run/held.pid); " + gpus(8),
        ),
    ),
    Fault("GPUs are asked for and there are none", "GPU_MISSING", HOSTS, faulty_words=("--nproc-per-node", "gpu")),
    # python
    Fault(
        "the job's Python is missing",
        "PYTHON_MISSING",
        python=WRAPPER,
        work=("report.py",),
        prepare=dict.fromkeys(HOSTS, wrapper()),
        **one("node2", f"rm {WRAPPER}", wrapper()),
    ),
    Fault(
        "the job's Python has no torch",
        "TORCH_MISSING",
        python=WRAPPER,
        work=("report.py",),
        prepare=dict.fromkeys(HOSTS, wrapper()),
        **one("node2", f"ln -sf /usr/bin/python3 {WRAPPER}", f"rm {WRAPPER}; {wrapper()}"),
    ),
    # entry
    Fault(
        "no script on one node", "ENTRY_MISSING", work=(ENTRY,), prepare=SCRIPT, **one("node2", f"rm {ENTRY}", "true")
    ),
    Fault(
        "another script on one node",
        "ENTRY_DIFFERS",
        work=(ENTRY,),
        prepare=SCRIPT,
        **one("node2", f"echo 'print(2)' > {ENTRY}", "true"),
    ),
    Fault(
        "no program on one node",
        "ENTRY_MISSING",
        work=("tool",),
        prepare=TOOL,
        restore=dict.fromkeys(HOSTS, "rm /usr/local/bin/tool"),
        **one(
            "node2",
            "rm /usr/local/bin/tool",
            "printf '#!/bin/sh\\n' > /usr/local/bin/tool; chmod +x /usr/local/bin/tool",
        ),
    ),
    Fault(
        "a program that may not be executed",
        "ENTRY_UNUSABLE",
        work=("/usr/local/bin/tool",),
        words=("--command",),
        says="is not executable",
        prepare=TOOL,
        restore=dict.fromkeys(HOSTS, "rm /usr/local/bin/tool"),
        **one("node2", "chmod -x /usr/local/bin/tool", "chmod +x /usr/local/bin/tool"),
    ),
    Fault(
        "a program whose interpreter is missing",
        "ENTRY_UNUSABLE",
        work=("/usr/local/bin/tool",),
        words=("--command",),
        says="needs /no/such",
        prepare=TOOL,
        restore=dict.fromkeys(HOSTS, "rm /usr/local/bin/tool"),
        **one("node2", "printf '#!/no/such\\n' > /usr/local/bin/tool", "printf '#!/bin/sh\\n' > /usr/local/bin/tool"),
    ),
    Fault(
        "no working directory on one node",
        "CHDIR_MISSING",
        words=("--chdir", "/root/work"),
        work=(ENTRY,),
        prepare=dict.fromkeys(HOSTS, f"mkdir -p /root/work; echo 'print(1)' > {ENTRY}"),
        **one("node2", "rmdir /root/work", "mkdir /root/work"),
    ),
    # versions
    Fault(
        "another torch on one node",
        "TORCH_DIFFERS",
        python=WRAPPER,
        work=("report.py",),
        says="2.0.1",
        prepare=dict.fromkeys(HOSTS, wrapper()),
        **one("node2", OTHER_TORCH, wrapper()),
    ),
    Fault(
        "another user number on shared storage",
        "USER_DIFFERS",
        words=("--user", "train"),
        fresh=True,
        prepare=dict.fromkeys(
            HOSTS,
            "id train >/dev/null 2>&1 || useradd -m -u 2001 train; usermod -p '*' train; chmod 1777 /nfs",
        ),
        restore=dict.fromkeys(HOSTS, "rm -rf /var/tmp/madctl-200*"),
        # Not usermod: it refuses while a session of that user is open.
        **one("node2", "sed -i s/:2001:/:2002:/ /etc/passwd", "sed -i s/:2002:/:2001:/ /etc/passwd"),
    ),
    # limits
    Fault(
        "no room for logs",
        "DISK_FULL",
        words=("--run-dir", "/small"),
        prepare=dict.fromkeys(HOSTS, "mkdir -p /small"),
        **one("node2", "mount -t tmpfs -o size=64k none /small", UMOUNT_SMALL),
    ),
    Fault(
        "run directory on a read-only file system",
        "RUN_DIR_UNWRITABLE",
        words=("--run-dir", "/small"),
        prepare=dict.fromkeys(HOSTS, "mkdir -p /small"),
        **one("node2", "mount -t tmpfs -o ro none /small", UMOUNT_SMALL),
    ),
    Fault(
        "little shared memory",
        "SHM_LOW",
        warning=True,
        exit=0,
        **one("node2", "mount -o remount,size=64m /dev/shm", "mount -o remount,size=4g /dev/shm"),
    ),
    # clock: the hosts share a kernel's clock, so a preloaded library lies about it
    Fault(
        "a clock 90 s ahead",
        "CLOCK_SKEWED",
        **one(
            "node2",
            "cp -a /usr/bin/python3 /usr/bin/hidden; rm /usr/bin/python3; "
            "printf '#!/bin/sh\\nexec faketime -f +90s /usr/bin/hidden \"$@\"\\n' > /usr/bin/python3; "
            "chmod +x /usr/bin/python3",
            "rm /usr/bin/python3; mv /usr/bin/hidden /usr/bin/python3",
        ),
    ),
    # proof
    Fault(
        "a firewall rejects the master port",
        "CONNECT_REFUSED",
        ("node2", "node3"),
        **one("node1", "iptables -A INPUT -p tcp --dport 29500 -j REJECT", FIREWALL),
    ),
    Fault(
        "a firewall drops one node's packets",
        "CONNECT_FILTERED",
        **one("node1", f"iptables -A INPUT -s {NODE2} -p tcp -j DROP", FIREWALL),
    ),
    Fault(
        "a firewall knows the master port only",
        "CONNECT_FILTERED",
        ("node2", "node3"),
        says="port 29500 works",
        storage=False,
        **one("node1", f"iptables -A INPUT -d {MASTER} -p tcp ! --dport 29500 -j DROP", FIREWALL),
    ),
    Fault(
        "no route to the first node",
        "CONNECT_NO_ROUTE",
        **one("node2", f"ip route add unreachable {MASTER}/32", f"ip route del unreachable {MASTER}/32"),
    ),
    Fault(
        "another node is reached over another card",
        "ROUTE_ELSEWHERE",
        says="is reached over eno1, not ens14np0",
        storage=False,
        **one("node2", f"ip route add {MASTER}/32 dev eno1", f"ip route del {MASTER}/32 dev eno1"),
    ),
    Fault(
        "another machine answers at the first node's address",
        "CONNECT_ELSEWHERE",
        ("node3",),
        inject={
            "node2": listener(29500),
            "node3": f"iptables -t nat -A OUTPUT -d {MASTER} -p tcp -j DNAT --to-destination {NODE2}",
        },
        repair={"node2": "kill $(cat /run/listener.pid)", "node3": "iptables -t nat -F OUTPUT"},
    ),
]


def row(fault):
    """Write one row of the page of faults."""
    where = "all" if fault.hosts == HOSTS else ", ".join(fault.hosts)
    return f"| {fault.name} | `{fault.code}` | {'warning' if fault.warning else 'error'} | {where} | {fault.exit} |"


def check(lab, fault, words=()):
    """Run a check of three hosts, and say how long it took."""
    storage = ("--shared-path", "/nfs") if fault.storage and "--shared-path" not in fault.words else ()
    options = ["--lab", lab.name, "--hosts", ",".join(HOSTS), "--python", fault.python, *storage]
    started = time.monotonic()
    # Most faults need no job's Python, whose start costs a second a node.
    work = ("--", *fault.work) if fault.work else ("--command", "--", "true")
    done = madctl("check", *options, *fault.words, *words, "--output", "json", *work)
    return done, time.monotonic() - started


def disconnect(lab):
    """End the open connections, so that the next command has to shake hands."""
    from madctl.lab import state

    for path in (state.directory(lab.name) / "cp").glob("*"):
        subprocess.run(["ssh", "-O", "exit", "-S", str(path), "x"], capture_output=True, check=False)


@pytest.fixture(scope="module")
def healthy():
    """Checks of the healthy cluster: what was warned of, by what the faults prepare and check with."""
    return {}


def first_of_each_code():
    """Yield all faults, of which those whose code another one has, too, may take long."""
    seen = set()
    for fault in FAULTS:
        yield pytest.param(fault, id=fault.name, marks=[pytest.mark.long] if fault.code in seen else [])
        seen.add(fault.code)


@pytest.mark.parametrize("fault", list(first_of_each_code()))
def test_fault(storage_cluster, fault, healthy, record_property):
    lab, on, run = storage_cluster
    same = repr((fault.prepare, fault.words, fault.work, fault.storage, fault.python))
    run(fault.prepare)
    try:
        if fault.connected or same not in healthy:
            before, _ = check(lab, fault)
            assert before.code == 0, before.err
            healthy[same] = sorted(entry["code"] for entry in before.json["warnings"])
        assert fault.code not in healthy[same]
        if fault.fresh:
            disconnect(lab)
        try:
            run(fault.inject)
            done, seconds = check(lab, fault, fault.faulty_words)
        finally:
            run(fault.repair)
        assert left_behind(lab) == []
        assert traces(on) == []
    finally:
        run(fault.restore)

    found = done.json["warnings" if fault.warning else "errors"]
    named = [entry for entry in found if entry["code"] == fault.code]
    assert sorted(entry["host"] for entry in named) == sorted(fault.hosts), done.out
    assert done.code == fault.exit, done.out
    assert all(fault.says in entry["message"] for entry in named), named
    if not fault.warning:
        assert all(entry["remedy"] for entry in named)
        # No other node is blamed for the fault of one.
        assert {entry["host"] for entry in found} == set(fault.hosts), found
    # Not a measurement: the promise is that no check hangs.
    assert seconds < LIMIT_SECONDS
    record_property("fault", (row(fault), seconds))


def test_every_fault_was_mended(storage_cluster, healthy):
    lab, _, _ = storage_cluster
    plain = Fault("none", "NONE")
    done, _ = check(lab, plain)
    first = healthy.get(repr((plain.prepare, plain.words, plain.work, plain.storage, plain.python)))

    assert done.code == 0, done.err
    assert first in (None, sorted(entry["code"] for entry in done.json["warnings"]))
