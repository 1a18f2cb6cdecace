# SPDX-License-Identifier: Apache-2.0
"""The playbooks of an operator, without an inventory, on a stand-in for a cluster with the rights of our documents."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes
import pytest
import yaml

from tests.integration import kubernetes_site, playbook_results
from tests.integration.command import JOBS, wait_for
from tests.integration.host_processes import left_behind
from tests.integration.launchers import read_until
from tests.integration.slurm_site import ORDERLY

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
COLLECTIONS = Path(sys.prefix) / "collections"
RIGHTS = Path(__file__).parents[2] / "docs/how_to/kubernetes/rbac.yml"
OBJECTS = ("jobs", "services", "configmaps", "secrets")
SECRET = "hunter2-hunter2"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(
        not (COLLECTIONS / "ansible_collections/kubernetes/core").is_dir(),
        reason="not installed: the collection kubernetes.core; make kubernetes-core",
    ),
]


@pytest.fixture(scope="module")
def cluster():
    role, _ = yaml.safe_load_all(RIGHTS.read_text())
    with kubernetes_site.running(role=role) as site:
        yield site.cluster


@pytest.fixture(autouse=True)
def cleared(cluster):
    cluster.requests.calls.clear()
    yield
    for kind in OBJECTS:
        for found in stored(cluster, kind):
            cluster.store.discard(kind, found)
    wait_for(lambda: stored(cluster, "pods") == [], 120)
    wait_for(lambda: left_behind(cluster.lab) == [])


@pytest.fixture
def environment(cluster):
    own = {"KUBECONFIG": cluster.kubeconfig, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)}
    # kubernetes.core keeps what it has learned of each API server there.
    with tempfile.TemporaryDirectory(prefix="k8s-") as place:
        yield {**os.environ, **own, "TMPDIR": place}


@pytest.fixture
def argv():
    """Return the command line of a playbook."""

    def argv(playbook, *words, **variables):
        given = {"madctl_on": "k8s", **{f"madctl_{name}": value for name, value in variables.items()}}
        return [PLAYBOOK, f"madctl.multinode.{playbook}", *words, "-e", json.dumps(given)]

    return argv


@pytest.fixture
def play(argv, environment, tmp_path):
    def play(playbook, *words, environment=environment, **variables):
        return playbook_results.play(argv(playbook, *words, **variables), environment, tmp_path, cwd=JOBS)

    return play


def command(*words, nodes=2, **more):
    return {"k8s_image": "train:1", "nnodes": nodes, "shape": "command", "work": list(words), **more}


def stored(cluster, kind):
    return cluster.store.list(kind, cluster.namespace)


def changed(done):
    return int(re.search(r"changed=(\d+)", done.stdout)[1])


def created(cluster):
    return [kind for verb, kind, _ in cluster.requests.calls if verb == "create"]


def logs(cluster):
    """Return what all pods that run have printed."""
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(cluster.kubeconfig))
    names = [pod["metadata"]["name"] for pod in stored(cluster, "pods") if pod["status"].get("phase") == "Running"]
    return "".join(api.read_namespaced_pod_log(name, cluster.namespace) for name in names)


def output(done):
    """Return the lines of ranks."""
    return sorted(re.findall(r"^pod-\d \| .*$", done.stdout, re.M))


def test_a_launch_is_created_and_followed_to_its_end_and_its_secrets_are_only_in_its_secret(play, cluster):
    say = 'echo on $NODE_RANK with $(printf "%s" "$TOKEN" | wc -c), $TOKEN'
    done = play("launch", "-vvv", "--diff", **command("sh", "-c", say, env={"TOKEN": SECRET}))

    assert done.returncode == 0, done.stdout + done.stderr
    assert output(done) == ["pod-0 | on 0 with 15, ***", "pod-1 | on 1 with 15, ***"]
    assert re.search(r"^done +succeeded", done.stdout, re.M)
    assert created(cluster) == ["secrets", "configmaps", "services", "jobs"]
    assert SECRET not in done.stdout + done.stderr
    assert "a" * 12 not in done.stdout, "a large text in base64"
    (secret,) = stored(cluster, "secrets")
    assert not [value for value in secret["data"].values() if value in done.stdout]
    rest = json.dumps([stored(cluster, kind) for kind in ("jobs", "configmaps", "services", "pods")])
    assert SECRET not in rest and secret["data"]["request.json"] not in rest


def test_check_mode_has_the_server_judge_all_objects_and_leaves_nothing(play, cluster):
    done = play("launch", "--check", "--diff", **command("hostname", env={"TOKEN": SECRET}))

    assert done.returncode == 0, done.stdout + done.stderr
    assert created(cluster) == ["secrets", "configmaps", "services", "jobs"]
    assert {kind: stored(cluster, kind) for kind in OBJECTS} == dict.fromkeys(OBJECTS, [])
    assert "+kind: Job" in done.stdout and "+  completions: 2" in done.stdout and "kind: Secret" not in done.stdout
    assert re.search(r"^queue +run \S+ would be created in namespace train$", done.stdout, re.M)
    assert SECRET not in done.stdout + done.stderr


def test_a_failure_has_the_code_and_the_host_of_the_command_line_and_later_plays_know_it(play):
    failing = command("sh", "-c", "test $NODE_RANK = 0 || exit 3; sleep 60", run_id="20261201-000000-00000001")
    done = play("launch", **failing)

    assert done.returncode == 2
    told = re.search(
        r"^madctl: pod-1: the command failed: exit code 3; see (.*) \[COMMAND_FAILED\]$", done.stdout, re.M
    )
    assert "madctl_on=k8s" in told[1] and told[1].endswith("madctl_show_hosts=pod-1"), done.stdout
    assert re.search(r"fatal: \[localhost\]: FAILED! => .*COMMAND_FAILED: see above", done.stdout + done.stderr)
    status, logs = play("status"), play("logs", run_id=failing["run_id"])
    assert re.search(r"^failed after .*pod-1.*exit code 3$", status.stdout, re.M), status.stdout
    assert (status.returncode, logs.returncode) == (0, 0), logs.stdout


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"k8s_gpus_per_node": 8}, r"madctl_k8s_gpus_per_node needs the name .*\[USAGE\]"),
        ({"run_id": "../outside"}, r"'../outside' is not the ID of a run \[USAGE\]"),
        ({"nnodes": 0}, r"the number of nodes is missing; set madctl_nnodes \[USAGE\]"),
    ],
)
def test_what_no_cluster_takes_is_said_in_one_line_before_one_is_asked(play, cluster, variables, said):
    done = play("launch", **{**command("hostname"), **variables})

    assert done.returncode == 2
    assert re.search(said, done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    assert cluster.requests.calls == []


def test_what_the_server_refuses_is_said_in_its_words_and_nothing_is_left(play, cluster):
    cluster.limit("jobs", 0)
    try:
        done = play("launch", **command("hostname", env={"TOKEN": SECRET}))
    finally:
        cluster.limit("jobs", None)

    assert done.returncode == 2
    assert re.search(r"^madctl: Kubernetes: .*exceeded quota.*\[SCHEDULER_REFUSED\]$", done.stdout, re.M), done.stdout
    assert {kind: stored(cluster, kind) for kind in OBJECTS} == dict.fromkeys(OBJECTS, [])
    assert SECRET not in done.stdout + done.stderr


def test_without_the_collection_one_line_says_so_before_anything_happens(play, cluster, environment, tmp_path):
    bare = {**environment, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)}
    done = play("launch", environment=bare, **command("hostname"))

    assert done.returncode == 2
    said = "madctl: the collection kubernetes.core is not installed; ansible-galaxy collection install"
    assert f"{said} kubernetes.core [SCHEDULER_MISSING]" in done.stdout + done.stderr
    assert cluster.requests.calls == []
    # What creates nothing works without it.
    assert "[RUN_UNKNOWN]" in play("status", environment=bare).stdout


def test_a_run_is_neither_created_nor_stopped_nor_removed_twice(play, cluster):
    run_id = "20261201-000000-00000002"
    wanted = command("sh", "-c", ORDERLY, run_id=run_id)
    first, second = (play("launch", **wanted, detach=True) for _ in range(2))
    assert [first.returncode, changed(first), changed(second)] == [0, 2, 0], first.stdout
    assert len(stored(cluster, "jobs")) == 1
    # The first pod says, too, that it is waiting for agents.
    wait_for(lambda: logs(cluster).count("runner.out: waiting\n") == 2)

    living = play("gc", run_id=run_id)
    assert (living.returncode, "madctl.multinode.stop" in living.stdout) == (2, True), living.stdout
    stopped, again = play("stop"), play("stop", run_id=run_id)
    assert [stopped.returncode, changed(stopped), again.returncode, changed(again)] == [0, 1, 0, 0], stopped.stdout
    followed = play("launch", **wanted)
    assert followed.returncode == 2 and changed(followed) == 0
    assert "[RUN_STOPPED]" in followed.stdout and output(followed).count("pod-1 | orderly") == 1
    removed = play("gc", run_id=run_id)
    assert (removed.returncode, changed(removed)) == (0, 1), removed.stdout
    assert {kind: stored(cluster, kind) for kind in OBJECTS} == dict.fromkeys(OBJECTS, [])


def test_an_interrupt_stops_the_run_in_order(argv, environment, cluster):
    words = argv("launch", **command("sh", "-c", ORDERLY))
    process = subprocess.Popen(
        words, cwd=JOBS, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    read_until(process, "| waiting")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=200)

    (job,) = stored(cluster, "jobs")
    wait_for(lambda: {"Failed"} <= {one["type"] for one in stored(cluster, "jobs")[0]["status"].get("conditions", [])})
    first = next(
        pod for pod in stored(cluster, "pods") if pod["metadata"]["name"].startswith(f"{job['metadata']['name']}-0-")
    )
    word = json.loads(first["status"]["containerStatuses"][0]["state"]["terminated"]["message"])
    assert word["code"] == "RUN_STOPPED"


def test_a_check_is_one_in_pods_which_leaves_nothing(play, cluster):
    done = play("check", k8s_image="train:1", nnodes=2)

    assert done.returncode == 0, done.stdout
    assert re.search(r"^pod-\[0-1\] +ok", done.stdout, re.M), done.stdout
    # The cluster deletes a job after its pods.
    wait_for(lambda: all(stored(cluster, kind) == [] for kind in OBJECTS))
