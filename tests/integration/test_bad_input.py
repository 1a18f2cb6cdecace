# SPDX-License-Identifier: Apache-2.0
"""Every bad input gets one clear line, the right exit code, and nothing is started anywhere."""

import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.command import madctl

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--hosts", ""], "HOSTS_EMPTY"),
        (["--hosts", "gpu[1-"], "HOSTS_MALFORMED"),
        (["--hosts", "gpu[3-1]"], "HOSTS_MALFORMED"),
        (["--hosts", "gpu[1-99999999]"], "HOSTS_MALFORMED"),
        (["--hosts", "a,b,a"], "HOST_DUPLICATE"),
        (["--hosts", "a,,b"], "HOSTS_MALFORMED"),
        (["--hosts=-oProxyCommand=touch x"], "HOST_INVALID"),
        (["--hosts", "a;touch x"], "HOST_INVALID"),
        (["--hosts", "$(touch x)"], "HOST_INVALID"),
        (["--hosts", "@x';touch${IFS}x;echo'"], "HOST_INVALID"),
        (["--hosts", "e:²"], "HOSTS_MALFORMED"),
        (["--hosts", "a:8"], "HOSTS_MALFORMED"),
        (["--lab", "lab", "-i", "a,"], "USAGE"),
        (["--nproc-per-node", "²"], "USAGE"),
        (["--hosts", "a\nb"], "HOST_INVALID"),
        (["--nproc-per-node", "0"], "USAGE"),
        (["--master-port", "99999"], "USAGE"),
        (["--no-such-option"], "USAGE"),
        (["--hostfile", "/no/such/file"], "HOSTFILE_UNREADABLE"),
    ],
)
def test_what_needs_no_node_is_a_usage_error(words, code):
    done = madctl("launch", *words, "--output", "json", "--", "report.py")

    assert (done.code, done.codes) == (2, [code])
    assert len(done.err.strip().splitlines()) == 1, done.err


def test_nothing_to_run():
    done = madctl("launch", "--hosts", "a")

    assert done.code == 2
    assert "WORK_MISSING" in done.err


def test_unreachable_hosts_are_all_named_in_one_pass(lab):
    config = madctl("lab", "ssh-config", "--name", lab.name).out.strip()
    network = lab.hosts[0].management_address.rpartition(".")[0]
    dark = [f"{network}.{octet}" for octet in range(200, 208)]
    words = ["--hosts", ",".join([*dark, "node1"]), "--ssh-config", config, "--output", "json", "--", "/no.py"]
    # Where nothing else happens it is 15 s; one after another, the hosts would take longer than this.
    done = madctl("launch", *words, timeout=60)

    assert done.code == 4, done.err
    errors = done.json["errors"]
    assert sorted(error["host"] for error in errors if error["code"] == "HOST_UNREACHABLE") == dark
    assert "ENTRY_MISSING" in [error["code"] for error in errors if error["host"] == "node1"]


def test_a_silent_server_is_unreachable(lab):
    with socket.create_server((lab.hosts[0].management_address.rpartition(".")[0] + ".1", 0)) as server:
        host, port = server.getsockname()
        done = madctl("launch", "--hosts", f"{host}:{port}", "--output", "json", "--", "/no.py")

    assert (done.code, done.codes) == (4, ["HOST_UNREACHABLE"])


def test_unknown_and_changed_host_keys(lab, tmp_path):
    directory = madctl("lab", "ssh-config", "--name", lab.name).out.strip().rpartition("/")[0]
    text = Path(directory, "ssh_config").read_text()
    known = tmp_path / "known_hosts"
    config = tmp_path / "config"
    config.write_text(text.replace(f"{directory}/known_hosts", str(known)))
    known.write_text("")
    # A control path of its own: an open connection would not look at keys at all.
    words = ["--hosts", "node4", "--ssh-config", str(config), "--output", "json", "--", "/no.py"]
    unknown = madctl("launch", *words, env={"ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp")})
    key = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
    key = (tmp_path / "k.pub").read_text()
    known.write_text(f"{lab.host('node4').management_address} {key}")
    changed = madctl("launch", *words, env={"ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp")})

    assert (unknown.code, unknown.codes) == (4, ["HOST_KEY_UNKNOWN"])
    assert (changed.code, changed.codes) == (4, ["HOST_KEY_CHANGED"])


def test_no_python_on_a_node(launch, on):
    on("node2", "mv", "/usr/bin/python3", "/usr/bin/hidden-python3")
    try:
        done = launch("--", "report.py")
    finally:
        on("node2", "mv", "/usr/bin/hidden-python3", "/usr/bin/python3")

    assert (done.code, done.codes) == (3, ["PYTHON_MISSING"])
    assert done.json["errors"][0]["host"] == "node2"


def test_missing_script_on_one_node(launch, on):
    on("node1", "touch", "/root/only-here.py")
    done = launch("--", "/root/only-here.py")

    assert (done.code, done.codes) == (3, ["ENTRY_MISSING"])
    assert done.json["errors"][0]["host"] == "node2"


def test_port_in_use_names_its_holder(launch, on):
    on(
        "node1",
        "sh",
        "-c",
        "exec /usr/bin/python3 -c 'import socket,time;s=socket.create_server((\"\",29500));time.sleep(300)' >/dev/null 2>&1 & while ! ss -ltn | grep -q :29500; do sleep 0.05; done",
    )
    try:
        done = launch("--command", "--", "true")
        other = launch("--master-port", "auto", "--", "report.py")
    finally:
        on("node1", "sh", "-c", "pkill -f [c]reate_server; while ss -ltn | grep -q :29500; do sleep 0.05; done")

    assert (done.code, done.codes) == (3, ["PORT_IN_USE"])
    assert "python3" in done.json["errors"][0]["message"]
    assert other.code == 0, other.err


def test_privileged_port_without_root(launch, on, lab):
    on("node1", "sh", "-c", "useradd -m -s /bin/sh someone && install -d -o someone /home/someone/.ssh")
    for host in ("node1", "node2"):
        on(host, "sh", "-c", "id someone >/dev/null 2>&1 || useradd -m -s /bin/sh someone; usermod -p '*' someone")
    done = launch("--user", "someone", "--master-port", "400", "--command", "--", "true")

    assert done.code == 3, done.err
    assert "PORT_PRIVILEGED" in done.codes


def test_two_candidates_for_the_interface(launch, on):
    for number, host in enumerate(("node1", "node2"), start=1):
        on(
            host,
            "sh",
            "-c",
            f"ip link add link ens14np0 name extra0 type macvlan && ip addr add 10.99.0.{number}/24 dev extra0 && ip link set extra0 up",
        )
    try:
        done = launch("--command", "--", "true")
        chosen = launch("--dry-run", "--interface", "10.82.0.0/16", "--command", "--", "true")
    finally:
        for host in ("node1", "node2"):
            on(host, "ip", "link", "del", "extra0")

    assert (done.code, set(done.codes)) == (3, {"INTERFACE_AMBIGUOUS"})
    assert "--interface" in done.json["errors"][0]["remedy"]
    assert [node["interface"] for node in chosen.json["data"]["nodes"]] == ["ens14np0", "ens14np0"]


# inetutils: the name is padded to ten columns, and nothing stands behind a longer one.
INETUTILS = """#!/bin/sh
head() { printf '%-10sLink encap:Ethernet  HWaddr 02:00:00:00:04:01  \\n' "$1"; }
for name in $(ls /sys/class/net); do
  head $name
  ip -4 -o addr show $name | sed -E 's#.* inet ([0-9.]+)/([0-9]+) .*#\\1 \\2#' | while read address prefix; do
    mask=255.255.255.0; [ $prefix = 24 ] || mask=255.255.0.0
    printf '          inet addr:%s  Bcast:0.0.0.0  Mask:%s\\n' $address $mask
  done
  up=UP; [ $name = lo ] && up='UP LOOPBACK'
  printf '          %s RUNNING  MTU:1500  Metric:1\\n\\n' "$up"
done
"""


def test_an_ifconfig_that_glues_long_names_to_the_next_word(launch, on):
    hosts = ("node1", "node2")
    rename = "ip link set {0} down; ip link set {0} name {1}; ip link set {1} up"
    for host in hosts:
        on(host, "sh", "-c", rename.format("ens14np0", "enp129s0f0np0") + "; mv /usr/sbin/ifconfig /root/ifconfig")
        on(host, "sh", "-c", 'printf %s "$1" > /usr/sbin/ifconfig; chmod 755 /usr/sbin/ifconfig', "sh", INETUTILS)
    try:
        done = launch("--dry-run", "--command", "--", "true")
    finally:
        for host in hosts:
            on(host, "sh", "-c", "mv /root/ifconfig /usr/sbin/ifconfig; " + rename.format("enp129s0f0np0", "ens14np0"))

    assert done.code == 0, done.err
    assert [node["interface"] for node in done.json["data"]["nodes"]] == ["enp129s0f0np0", "enp129s0f0np0"]
    assert [node["address"][:6] for node in done.json["data"]["nodes"]] == ["10.82.", "10.82."]


def test_an_interface_that_does_not_exist(launch):
    done = launch("--interface", "ib7", "--command", "--", "true")

    assert (done.code, done.codes) == (3, ["INTERFACE_UNKNOWN", "INTERFACE_UNKNOWN"])


def test_no_common_network(launch, on):
    address = on("node2", "sh", "-c", "ip -4 -o addr show ens14np0 | awk '{print $4}'").strip()
    eno1 = on("node2", "sh", "-c", "ip -4 -o addr show eno1 | awk '{print $4}'").strip()
    on(
        "node2",
        "sh",
        "-c",
        f"ip addr del {address} dev ens14np0; ip addr add 10.98.0.2/24 dev ens14np0; ip addr add {eno1.partition('/')[0]}/32 dev eno1; ip addr del {eno1} dev eno1; ip route add {eno1.rpartition('.')[0]}.1 dev eno1",
    )
    try:
        done = launch("--command", "--", "true")
    finally:
        on(
            "node2",
            "sh",
            "-c",
            f"ip addr flush dev eno1; ip addr add {eno1} dev eno1; ip addr flush dev ens14np0; ip addr add {address} dev ens14np0",
        )

    assert done.code == 3, done.err
    assert set(done.codes) == {"NO_COMMON_NETWORK"}


def test_shared_path_plain_here_and_missing_there(launch, on):
    on("node1", "mkdir", "-p", "/plain")
    done = launch("--shared-path", "/plain", "--command", "--", "true")
    on("node1", "rmdir", "/plain")

    assert (done.code, done.codes) == (3, ["MOUNT_NOT_SHARED", "MOUNT_MISSING"])
    assert on("node2", "sh", "-c", "test -e /plain || echo absent").strip() == "absent"


def test_net_tools_is_really_installed_where_it_is_missing(launch, on):
    on("node2", "dpkg", "-r", "net-tools")
    refused = launch("--no-install", "--dry-run", "--command", "--", "true")
    done = launch("--command", "--", "true")

    assert (refused.code, refused.codes) == (3, ["NET_TOOLS_MISSING"])
    assert done.code == 0, done.err
    assert "ifconfig" in on("node2", "which", "ifconfig")


def test_torch_is_missing(lab):
    done = madctl(
        "launch",
        "--lab",
        lab.name,
        "--hosts",
        "node1,node2",
        "--python",
        "/usr/bin/python3",
        "--output",
        "json",
        "--",
        "report.py",
    )

    assert (done.code, set(done.codes)) == (3, {"TORCH_MISSING"}), sys.executable


def test_a_slow_but_healthy_handshake_is_not_unreachable(lab, tmp_path):
    directory = Path(madctl("lab", "ssh-config", "--name", lab.name).out.strip()).parent
    key = next(
        line for line in (directory / "known_hosts").read_text().splitlines() if lab.hosts[0].management_address in line
    )
    gateway = lab.hosts[0].management_address.rpartition(".")[0] + ".1"
    with socket.create_server((gateway, 0)) as server:
        port = server.getsockname()[1]
        (tmp_path / "known_hosts").write_text(f"[{gateway}]:{port} {key.partition(' ')[2]}\n")
        config = tmp_path / "config"
        config.write_text(
            f"Host slow\n HostName {gateway}\n Port {port}\n User root\n IdentityFile {directory}/id_ed25519\n"
            f" UserKnownHostsFile {tmp_path}/known_hosts\n"
        )
        # Longer than the first attempt waits, shorter than the second.
        threading.Thread(target=forward_late, args=(server, lab.hosts[0].management_address, 4.5), daemon=True).start()
        done = madctl(
            "launch", "--hosts", "slow", "--ssh-config", str(config), "--output", "json", "--command", "--", "true"
        )

    assert done.code == 0, done.err


def forward_late(server, address, seconds):
    """Forward every connection to a real sshd, but keep it waiting first."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return

        def serve(client=client):
            time.sleep(seconds)  # The fault itself, not a wait for something.
            with suppress(OSError), socket.create_connection((address, 22)) as sshd:
                while True:
                    for source in select.select([client, sshd], [], [])[0]:
                        data = source.recv(65536)
                        if not data:
                            return
                        (sshd if source is client else client).sendall(data)

        threading.Thread(target=serve, daemon=True).start()


def test_slots_of_a_host_file_are_processes(lab, tmp_path):
    hostfile = tmp_path / "hosts"
    config = madctl("lab", "ssh-config", "--name", lab.name).out.strip()
    words = [
        "--hostfile",
        str(hostfile),
        "--ssh-config",
        config,
        "--python",
        sys.executable,
        "--dry-run",
        "--output",
        "json",
    ]
    hostfile.write_text("node1 slots=3\nnode2:3\n")
    same = madctl("launch", *words, "--", "report.py")
    hostfile.write_text("node2\nnode1\nnode2\nnode1\n")
    of_the_lab = [*words[:2], "--lab", lab.name, *words[4:]]
    counted = madctl("launch", *of_the_lab, "--", "report.py")
    hostfile.write_text("node1 slots=3\nnode2 slots=3\nnode3 slots=2\n")
    different = madctl("launch", *words, "--", "report.py")

    assert (same.code, same.json["data"]["world_size"]) == (0, 6)
    assert (counted.code, counted.json["data"]["world_size"]) == (0, 4)
    assert [node["host"] for node in counted.json["data"]["nodes"]] == ["node2", "node1"]
    assert (different.code, different.codes, different.json["errors"][0]["host"]) == (3, ["SLOTS_DIFFER"], "node3")
