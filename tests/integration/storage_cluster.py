# SPDX-License-Identifier: Apache-2.0
"""Three hosts of a lab with shared storage mounted, as the tests of faults and of roles need them."""

import contextlib
import shutil
import time

import pytest

from tests.integration import glusterfs
from tests.integration.host_processes import on_host

HOSTS = ("node1", "node2", "node3")
# What stands for addresses in the commands of faults.
MASTER = "MASTER_DATA"
NODE2 = "NODE2_DATA"


@contextlib.contextmanager
def mounted(lab):
    """Mount storage on the lab; give the lab, a way to run words on a host, and one to run commands of faults on many."""
    missing = [name for name in ("glusterfsd", "glusterfs", "iptables", "faketime") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {' '.join(missing)}")

    def on(host, *words, check=True):
        return on_host(lab, host, *words, check=check).stdout

    clients = glusterfs.serve(on, lab.host(glusterfs.SERVER).data_address)
    for host in HOSTS:
        glusterfs.mount(on, host, clients)
    values = {
        MASTER: lab.host("node1").data_address,
        NODE2: lab.host("node2").data_address,
        "NODE3_DATA": lab.host("node3").data_address,
        "NODE2_ID": on("node2", "cat", "/etc/machine-id").strip(),
        "NODE2_BOOT": on("node2", "cat", "/run/boot_id").strip(),
    }

    def run(commands, check=True):
        for host, text in commands.items():
            for name, value in values.items():
                text = text.replace(name, value)
            on(host, "sh", "-c", text, check=check)

    yield lab, on, run
    for host in HOSTS:
        on(host, "/root/nfs.sh", "down", check=False)
    on(glusterfs.SERVER, "sh", "-c", "kill $(cat /run/brick-a.pid /run/brick-b.pid)")


def traces(on):
    """
    List what a check could have left: files of proofs, listeners, agents and what they started.

    An agent ends when its channel has, a moment later.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (found := _traces(on)):
        time.sleep(0.1)
    return found


def _traces(on):
    found = []
    for host in HOSTS:
        # What was cut off or frozen answers a moment after it was mended.
        look = 'files=$(timeout 2 ls -A /nfs) || echo no answer; echo "$files" | grep madctl'
        files = on(host, "sh", "-c", look, check=False)
        listeners = on(host, "sh", "-c", "ss -ltnH | grep -v ':22 '", check=False)
        programs = on(host, "sh", "-c", "pgrep -af '^madctl agent'", check=False)
        found += [(host, text) for text in (files, listeners, programs) if text.strip()]
    return found
