# SPDX-License-Identifier: Apache-2.0
"""
Hosts of a lab with a real Docker, an image for models, and the stand-in for madengine, which drives it.

The image has directories only: every container sees this machine's own programs, so nothing is downloaded. A registry
on each host's loopback has it, because madengine always builds with ``--pull``.
"""

import contextlib
import json
import os
import shutil
import sys
import uuid
from pathlib import Path

from madctl.lab import power
from tests.integration.command import JOBS, wait_for
from tests.integration.host_processes import on_host

PROGRAMS = ("dockerd", "docker", "containerd", "runc", "docker-registry")
PLACE = "/opt/models"
STANDIN = Path(__file__).parent / "standin" / "madengine"
VENV = Path(sys.prefix)
# What a container sees of this machine: its programs, and the Python with torch.
BOUND = ("/usr", "/etc", str(VENV), sys.base_prefix)
DAEMON = {
    "iptables": False,
    "ip6tables": False,
    "bridge": "none",
    "storage-driver": "overlay2",
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "hosts": ["unix:///run/docker.sock"],
}
UP = """
set -e
mkdir -p /var/lib/docker /var/lib/containerd /etc/docker
mount -t tmpfs -o size=2g tmpfs /var/lib/docker
mount -t tmpfs -o size=1g tmpfs /var/lib/containerd
cat > /etc/docker/daemon.json
TMPDIR=/tmp setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
printf 'version: 0.1\\nstorage: {inmemory: {}}\\nhttp: {addr: 127.0.0.1:5000}\\n' > /etc/registry.yml
setsid docker-registry serve /etc/registry.yml >/var/log/registry.log 2>&1 </dev/null &
"""
IMAGE = """
set -e
cd $(mktemp -d)
mkdir -p root/usr root/etc root/tmp root/proc root/sys root/dev root/root root/run
for name in bin sbin lib lib32 lib64 libx32; do ln -s usr/$name root/$name; done
tar -C root -c . | docker import - localhost:5000/base >/dev/null
docker tag localhost:5000/base ci-image
docker push -q localhost:5000/base >/dev/null
"""
ROCM_SMI = "#!/bin/sh\necho WARNING: No JSON data to report\n"


def missing():
    """Name the programs that are not installed here."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


class DockerHosts:
    """A lab whose hosts run models in containers."""

    def __init__(self, lab):
        self.lab, self.names = lab, [host.name for host in lab.hosts]

    def on(self, host, *words, text=None, check=True):
        """Run words on a host, and give what they print."""
        return on_host(self.lab, host, *words, text=text, check=check).stdout

    def write(self, path, text, mode="644", hosts=()):
        for host in hosts or self.names:
            self.on(host, "sh", "-c", f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode} {path}", text=text)

    def start(self):
        """Start Docker and the registry, and wait until both answer."""
        for host in self.names:
            self.on(host, "sh", "-c", UP, text=json.dumps(DAEMON))
        for host in self.names:
            wait_for(lambda host=host: "Server:" in self.on(host, "docker", "version", check=False), 180)
            wait_for(lambda host=host: ":5000 " in self.on(host, "ss", "-ltnH"), 180)
            self.on(host, "sh", "-c", IMAGE)
        self.write("/usr/local/bin/madengine", STANDIN.read_text(), "755")
        self.write("/usr/local/bin/rocm-smi", ROCM_SMI, "755")
        self.write(f"{PLACE}/docker/model.Dockerfile", "# CONTEXT {}\nFROM localhost:5000/base\nENV BUILT=1\n")

    def models(self, scripts, options=None):
        """Write a checkout with one model per script; some have options of their own for docker."""
        cards = []
        for name, text in scripts.items():
            bound = " ".join(f"-v {path}:{path}:ro" for path in BOUND)
            more = (options or {}).get(name, "")
            card = {"name": name, "tags": [], "scripts": f"scripts/{name}.sh", "dockerfile": "docker/model"}
            cards.append({**card, "additional_docker_run_options": f"{bound} {more}".strip()})
            self.write(f"{PLACE}/scripts/{name}.sh", text)
        self.write(f"{PLACE}/models.json", json.dumps(cards))

    def containers(self):
        """List the containers on all hosts."""
        words = ("docker", "ps", "--all", "--format", "{{.Names}}")
        return [(host, name) for host in self.names for name in self.on(host, *words).split()]

    def remove_containers(self):
        """End and remove the containers on all hosts."""
        for host, name in self.containers():
            self.on(host, "docker", "rm", "--force", name, check=False)


@contextlib.contextmanager
def running(count):
    """Bring up a lab of some hosts with Docker, and take it down at the end."""
    name, before = f"test-{uuid.uuid4().hex[:8]}", Path.cwd()
    os.chdir(JOBS)
    try:
        hosts = DockerHosts(power.up(name, count, {}))
        hosts.start()
        yield hosts
    finally:
        os.chdir(before)
        power.down(name)
        # Docker leaves its groups, which are empty now.
        for group in sorted(Path("/sys/fs/cgroup").glob("*/docker/**"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()
