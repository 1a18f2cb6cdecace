# SPDX-License-Identifier: Apache-2.0
"""
Real shared storage on hosts of a lab: GlusterFS over FUSE, without its management daemon.

``node4`` serves two directories; a small script on every other host mounts one of them at /nfs. A
kernel's own NFS cannot be had in a namespace; see ``uml_cluster`` for that.
"""

import shutil

import pytest

SERVER = "node4"
BRICK = """\
volume posix
  type storage/posix
  option directory /run/brick/{name}
end-volume
volume locks
  type features/locks
  subvolumes posix
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.socket.listen-port {port}
  option auth.addr.locks.allow *
  option transport.address-family inet
  subvolumes locks
end-volume
"""
CLIENT = """\
volume client
  type protocol/client
  option transport-type tcp
  option remote-host {address}
  option remote-port {port}
  option remote-subvolume locks
  option transport.address-family inet
end-volume
"""
PORTS = {"a": 24007, "b": 24008}
# Called as: nfs.sh up a, nfs.sh down. Waits until the file system answers, or is gone.
SCRIPT = """\
#!/bin/sh
case $1 in
up) mkdir -p /nfs
    glusterfs -f /root/client-$2.vol --volfile-id=/gv-$2 -p /run/glusterfs.pid -l /run/glusterfs.log $3 /nfs
    until stat -f -c %T /nfs | grep -q fuse && ls /nfs >/dev/null 2>&1; do sleep 0.05; done ;;
down) kill -CONT $(cat /run/glusterfs.pid); kill -9 $(cat /run/glusterfs.pid)
    umount -l /nfs 2>/dev/null; while grep -q ' /nfs ' /proc/self/mountinfo; do umount -l /nfs; done
    true ;;
esac
"""


def write(path, text):
    """Return a shell command that writes a file."""
    return f"cat > {path} <<'END'\n{text}END\n"


def serve(on, address):
    """Start the servers, one an empty directory; ``address`` is the data address of the serving host."""
    if shutil.which("glusterfsd") is None:
        pytest.skip("not installed: glusterfs-server")
    for name, port in PORTS.items():
        old = f"/run/brick-{name}.pid"  # of tests that came before
        on(SERVER, "sh", "-c", f"[ ! -e {old} ] || while kill $(cat {old}) 2>/dev/null; do sleep 0.05; done")
        on(SERVER, "sh", "-c", write(f"/run/brick-{name}.vol", BRICK.format(name=name, port=port)))
        command = f"rm -rf /run/brick/{name}; mkdir -p /run/brick/{name}; glusterfsd -f /run/brick-{name}.vol -p /run/brick-{name}.pid -l /run/{name}.log"
        on(SERVER, "sh", "-c", f"{command}; until ss -ltn | grep -q :{port}; do sleep 0.05; done")
    return {name: CLIENT.format(address=address, port=port) for name, port in PORTS.items()}


def mount(on, host, clients, name="a"):
    """Mount one of the directories at /nfs."""
    for client, text in clients.items():
        on(host, "sh", "-c", write(f"/root/client-{client}.vol", text))
    on(host, "sh", "-c", write("/root/nfs.sh", SCRIPT) + f"chmod +x /root/nfs.sh; /root/nfs.sh up {name}")
