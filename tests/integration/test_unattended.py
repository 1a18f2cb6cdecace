# SPDX-License-Identifier: Apache-2.0
"""What nodes do without a follower: tell each other through shared storage, and never forget a reboot."""

import re

import pytest

from tests.integration import glusterfs
from tests.integration.command import madctl, wait_for
from tests.integration.launchers import follow
from tests.integration.run_answers import running, states

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]


@pytest.fixture
def storage(lab, on):
    """/nfs on node1 and node2, served by another host."""
    clients = glusterfs.serve(on, lab.host(glusterfs.SERVER).data_address)
    for host in ("node1", "node2"):
        glusterfs.mount(on, host, clients)
    yield
    for host in ("node1", "node2"):
        on(host, "sh", "-c", "/root/nfs.sh down; rmdir /nfs")
    on(glusterfs.SERVER, "sh", "-c", "kill $(cat /run/brick-a.pid /run/brick-b.pid)")


# Rank 0 would wait for five minutes; with commands no runner could tell it that the other node failed.
WORK = (
    "--command",
    "--",
    "sh",
    "-c",
    "if [ $NODE_RANK = 1 ]; then while [ ! -e /tmp/fail ]; do sleep 0.2; done; exit 7; fi; sleep 300",
)


def test_a_failure_reaches_the_other_nodes_through_shared_storage(storage, launch, on):
    done = launch("--shared-path", "/nfs", "--detach", *WORK)
    assert done.code == 0, done.err
    run_id = done.json["run_id"]
    running(None, run_id)
    assert on("node1", "ls", f"/nfs/.madctl-{run_id}").split() == ["0", "1", "failed"]
    on("node2", "touch", "/tmp/fail")
    try:
        # Less than rank 0 would wait by itself.
        wait_for(lambda: set(states(run_id).values()) == {"exited"}, 120)
    finally:
        on("node2", "rm", "/tmp/fail")
    attached = madctl("attach", run_id, "--output", "json")

    assert (attached.code, attached.codes) == (6, ["COMMAND_FAILED"])
    assert attached.json["errors"][0]["host"] == "node2"
    wait_for(lambda: on("node1", "ls", "-A", "/nfs") == "")


def test_dead_storage_holds_no_run_up(storage, launch, on):
    done = launch("--shared-path", "/nfs", "--detach", *WORK)
    on("node1", "sh", "-c", "kill -STOP $(cat /run/glusterfs.pid)")
    try:
        wait_for(lambda: on("node1", "pgrep", "-c", "madctl-storage", check=False) == "1\n")
        stopped = madctl("stop", done.json["run_id"])
    finally:
        on("node1", "sh", "-c", "kill -CONT $(cat /run/glusterfs.pid)")

    assert stopped.code == 0, stopped.err
    wait_for(lambda: on("node1", "ls", "-A", "/nfs") == "")


def test_what_a_killed_supervisor_left_on_storage_goes_with_the_stop(storage, launch, on):
    done = launch("--shared-path", "/nfs", "--detach", *WORK)
    on("node2", "sh", "-c", "pkill -9 -f '[m]adctl_node.py supervisor'")
    stopped = madctl("stop", done.json["run_id"])

    assert stopped.code == 0, stopped.err
    wait_for(lambda: on("node1", "ls", "-A", "/nfs") == "")


def test_a_node_that_comes_back_from_a_reboot_is_lost(lab, on):
    process, run_id = follow(lab, "--output", "json", "--", "wait.py", hosts="node1,node2")
    on("node2", "ip", "link", "set", "eno1", "down")
    # What a reboot does, as far as anybody can tell from outside: all processes end, and the boot id is another.
    on(
        "node2",
        "sh",
        "-c",
        "pkill -9 -f '[m]adctl_node.py supervisor'; pkill -9 -f [t]orch.distributed; pkill -9 -f [w]ait.py; true",
    )
    on("node2", "sh", "-c", "cat /proc/sys/kernel/random/uuid > /run/boot_id")
    on("node2", "mount", "--bind", "/run/boot_id", "/proc/sys/kernel/random/boot_id")
    try:
        on("node2", "ip", "link", "set", "eno1", "up")
        output, _ = process.communicate(timeout=180)
        seen = states(run_id)
    finally:
        on("node2", "umount", "/proc/sys/kernel/random/boot_id")

    assert process.returncode == 7, output
    assert re.search(r'"code": "NODE_REBOOTED", "host": "node2"', output)
    assert seen == {"node1": "exited", "node2": "rebooted"}
