# SPDX-License-Identifier: Apache-2.0
"""
Every command that a document shows is typed into a shell, and every line that it shows as an answer is looked for.

A document is read from top to bottom, as a reader does who has four hosts, gpu01 to gpu04.
"""

import os
import re
import shutil

import pytest

from madctl.version import version
from tests.integration import glusterfs, recorded
from tests.integration.documents import CLUSTER, GUIDES, TRAIN, name, steps, typed
from tests.integration.reader_shell import BIN, ROOT, Command, File, ReaderShell

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")]

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
# Their readers have other machines: tests/integration/test_kubernetes_documents.py and test_guides.py.
ELSEWHERE = ("docs/how_to/kubernetes.md", *GUIDES)
PACKAGING = "tests/integration/test_install.py does it"
NOT_RUN = {
    ("README.md", "make test    # linters and all tests"): "this test is part of it",
    ("CONTRIBUTING.md", "make test-fast    # while you work: unit tests"): "it is part of make test",
    ("CONTRIBUTING.md", "make lint"): "it is part of make test",
    (
        "CONTRIBUTING.md",
        "make test         # before you send: linters and all tests, on lab hosts; needs root",
    ): "as above",
    ("CONTRIBUTING.md", ".venv/bin/pytest tests/integration/test_launch.py -k reduce"): "it is part of make test",
    ("CONTRIBUTING.md", "molecule test -s net_tools"): "tests/integration/test_molecule.py does it",
    ("docs/how_to/installation.md", "make build"): PACKAGING,
    ("docs/how_to/installation.md", f"pipx install dist/madctl-{version()}-py3-none-any.whl"): PACKAGING,
    ("docs/how_to/example_project.md", "ansible-galaxy collection install -r requirements.yml"): PACKAGING,
    ("docs/how_to/playbooks.md", "make build"): PACKAGING,
    (
        "docs/how_to/playbooks.md",
        f"ansible-galaxy collection install dist/madctl-multinode-{version()}.tar.gz",
    ): PACKAGING,
}
# A checkout that no user owns, with what runs there.
CHECKOUT = f"""
mkdir -p ~/checkout && ln -s {ROOT}/* ~/checkout && ln -s {BIN.parent} ~/checkout/.venv && cd ~/checkout
"""
BASTION = """
address=$(sed -n '/gpu04/{n;s/ *HostName //p}' ~/.cluster)
echo bastion.example.org $(sed "s/$address //;t;d" $directory/known_hosts) >> $directory/known_hosts
{ cat /etc/hosts; echo $address bastion.example.org; } > ~/.hosts && mount --bind ~/.hosts /etc/hosts
sed -i 's/^Host gpu01 gpu02/Host bastion bastion.example.org gpu01 gpu02/' ~/.cluster
cat ~/.cluster > /etc/ssh/ssh_config
for host in node1 node2; do
  madctl lab exec --name desk $host -- iptables -A INPUT -p tcp --dport 22 ! -s $address -j DROP || return
done
"""
SUDO = """
for host in node3 node4; do
  madctl lab exec --name desk $host -- sh -c 'echo "trainer:correct horse battery staple" | chpasswd
    echo "trainer ALL=(ALL) ALL" > /etc/sudoers.d/trainer' || return
done
madctl lab exec --name desk node4 -- sh -c 'dpkg --remove net-tools > /dev/null; ! command -v ifconfig' || return
"""
JOB = """
for host in node1 node2; do
  madctl lab exec --name desk $host -- sh -c 'mkdir /srv/job && cat > /srv/job/train.py' < train.py || return
done
"""
TAKEN = """
madctl lab exec --name desk node1 -- sh -c 'python3 -m http.server 29500 > /dev/null 2>&1 &'
"""
# Neither docker nor madengine can be had: tests/integration/test_madengine.py says what stands for them.
MODELS = f"""
sed 's/User trainer/User root/' ~/.cluster > ~/.root && cat ~/.root > /etc/ssh/ssh_config
echo 'echo $MAD_MULTI_NODE_RUNNER' > run.sh
echo '[{{"name": "pyt_megatron_lm_train_llama2_7b", "tags": [], "scripts": "model.sh"}}]' > models.json
cat > model.sh <<'END'
# There is no torch here, but mpirun.
[ ! -e "${{MAD_MULTI_NODE_RUNNER%/*}}/mpich" ] || $MAD_MULTI_NODE_RUNNER true || exit
[ "$NODE_RANK" != 0 ] || echo "performance: 42.5 tokens/s"
END
for host in node1 node2; do
  for program in docker madengine; do
    madctl lab exec --name desk $host -- sh -c "cat > /usr/local/bin/$program; chmod 755 /usr/local/bin/$program" \
      < {ROOT}/tests/integration/standin/$program || return
  done
  printf '#!/bin/sh\\necho WARNING: No JSON data to report\\n' | madctl lab exec --name desk $host -- \\
    sh -c 'cat > /usr/local/bin/rocm-smi; chmod 755 /usr/local/bin/*'
done
"""

# A cluster with a partition, and storage that its login node and all nodes see at one path.
SLURM = f"""
mkdir ~/work && cd ~/work && export PATH={BIN}:$PATH && cp ~/.train.py train.py || return
madctl lab up -n 3 --slurm --name desk || return
touch /etc/ssh/ssh_config && mount --bind $(madctl lab ssh-config --name desk) /etc/ssh/ssh_config || return
export SLURM_CONF=$(madctl lab slurm --name desk -- printenv SLURM_CONF)
shared=$(dirname $(dirname $SLURM_CONF))/all
mkdir -p $shared/me && mount --bind $shared /home || return
for host in node1 node2 node3; do
  madctl lab exec --name desk $host -- mount --bind $shared /home || return
done
scontrol create PartitionName=gpu Nodes=ALL State=UP || return
"""


def on(desk):
    """Return a function that runs a command on a host of a desk."""

    def run(host, *words):
        words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
        code, printed = desk.type(f"madctl lab exec --name desk {host} -- {words}")
        assert code == 0, printed
        return printed

    return run


def mount_nfs(desk, hosts=("node1", "node2")):
    """Mount /nfs, as shared storage that everybody may write."""
    address = re.search(r"node4 .* (10\.82\S+)", desk.type("madctl lab status --name desk")[1])[1]
    clients = glusterfs.serve(on(desk), address)
    for host in hosts:
        glusterfs.mount(on(desk), host, clients)
    on(desk)("node1", "sh", "-c", "chmod 1777 /nfs && mkdir /nfs/data")


def mount_three(desk):
    """Mount /nfs on all but the last host, which has a directory of that name, and a firewall."""
    mount_nfs(desk, ("node1", "node2", "node3"))
    assert desk.type("madctl lab exec --name desk node1 -- sh -c 'cat > /nfs/train.py' < train.py")[0] == 0
    on(desk)("node4", "sh", "-c", "mkdir /nfs && iptables -A OUTPUT -p tcp --dport 29500 -j DROP")


PREPARE = {
    "README.md": CHECKOUT + CLUSTER,
    "CONTRIBUTING.md": CHECKOUT,
    "docs/tutorial.md": CHECKOUT,
    "docs/how_to/checkpoints.md": CHECKOUT,
    "docs/how_to/bastion.md": CLUSTER + BASTION,
    "docs/how_to/installation.md": CHECKOUT + CLUSTER,
    "docs/how_to/own_cluster.md": CHECKOUT + CLUSTER,
    "docs/how_to/without_root.md": CLUSTER + SUDO,
    "docs/how_to/example_project.md": CHECKOUT + CLUSTER,
    "docs/how_to/playbooks.md": CLUSTER + JOB,
    "docs/how_to/roles.md": CLUSTER + TAKEN,
    "docs/how_to/madengine.md": CLUSTER + MODELS,
    "docs/how_to/slurm.md": SLURM,
}
MORE = {"README.md": mount_three, "docs/how_to/madengine.md": mount_nfs, "docs/how_to/roles.md": mount_nfs}

NEEDS = {
    "README.md": ("glusterfsd", "iptables"),
    "docs/explanation/mpi.md": ("mpirun",),
    "docs/how_to/bastion.md": ("iptables",),
    "docs/how_to/madengine.md": ("glusterfsd",),
    "docs/how_to/mpirun.md": ("mpirun",),
    "docs/how_to/roles.md": ("glusterfsd",),
    "docs/how_to/slurm.md": ("slurmctld", "slurmd", "sbatch", "munged"),
    "docs/how_to/without_root.md": ("sudo",),
}


SHOWN = [
    document
    for document in DOCUMENTS
    if name(document) not in ELSEWHERE and any(isinstance(step, Command) for step in steps(document))
]


@pytest.mark.parametrize("document", SHOWN, ids=name)
def test_a_document_can_be_typed(document, home):
    absent = [program for program in NEEDS.get(name(document), ()) if not shutil.which(program)]
    if absent:
        pytest.skip(f"not installed: {' '.join(absent)}")
    installed = BIN.parent / ".installed"
    # A document types "make setup", which would install the reader's copy.
    assert installed.stat().st_mtime >= (ROOT / "pyproject.toml").stat().st_mtime, "run make setup first"
    environment = {"XDG_STATE_HOME": str(home / ".state"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / ".cp")}
    with ReaderShell(home, environment) as desk:
        (home / ".train.py").write_text(TRAIN)
        code, printed = desk.type(PREPARE.get(name(document), CLUSTER))
        assert code == 0, printed
        MORE.get(name(document), lambda _: None)(desk)
        for step in steps(document):
            if isinstance(step, File):
                desk.save(step)
            elif (name(document), step.text) not in NOT_RUN:
                printed = typed(desk, document, step)
                if step.text.startswith("make demo"):
                    recorded.compare(printed)


def test_what_is_not_run_is_still_shown():
    shown = {(name(document), step.text) for document in SHOWN for step in steps(document) if isinstance(step, Command)}

    assert set(NOT_RUN) <= shown
