# SPDX-License-Identifier: Apache-2.0
"""
Models on real hosts, with stand-ins for madengine and docker, which cannot be had here.

``standin/madengine`` says which contracts it keeps; what madctl does with the real one is not shown here.
"""

import ast
import csv
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.integration import glusterfs
from tests.integration.command import EXAMPLE, MADCTL, madctl, wait_for
from tests.integration.host_processes import left_behind, on_host
from tests.integration.launchers import read_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records")]

STANDIN = Path(__file__).parent / "standin"
HOSTS = "node1,node2"
MODELS = [
    {"name": "good", "tags": ["both", "several"], "scripts": "scripts/good.sh"},
    {"name": "bad", "tags": ["both"], "scripts": "scripts/bad.sh"},
    {"name": "slow", "tags": [], "scripts": "scripts/slow.sh"},
    {"name": "late", "tags": [], "scripts": "scripts/late.sh"},
    {"name": "plain", "tags": [], "scripts": "scripts/plain.sh"},
    {"name": "alone", "tags": [], "scripts": "alone/run.sh"},
    {"name": "old", "tags": ["several"], "scripts": "scripts/good.sh", "is_deprecated": True},
    {"name": "other", "tags": ["several"], "scripts": "scripts/good.sh", "skip_gpu_arch": "gfx90a, gfx942"},
]
GOOD = """
run_cmd="echo $MAD_MULTI_NODE_RUNNER train.sh"
echo "RUNNER $MADCTL_RUNNER_LINE"
case "$NODE_RANK" in 0) echo "performance: 42.5 tokens/s" ;; esac
"""
# Node 2 trains, and fails in the end; node 1 waits for it.
LATE = """
case "$NODE_RANK" in 0) sleep 300 ;; *) echo "disk full"; exit 5 ;; esac
"""


@pytest.fixture(scope="module")
def checkout(lab, tmp_path_factory):
    """A checkout of models at the same place on both hosts, and what madengine needs there."""
    place = "/opt/models"
    files = {
        "models.json": json.dumps(MODELS),
        "scripts/good.sh": GOOD,
        "scripts/bad.sh": "echo no performance here",
        "scripts/plain.sh": "$MAD_MULTI_NODE_RUNNER train.py",
        "scripts/slow.sh": 'echo "model waits $PWD"; sleep 300',
        "scripts/late.sh": LATE,
        "alone/run.sh": "echo torchrun --nproc_per_node 2 x.py; echo performance: 42.5 tokens/s",
        "perf.csv": "model,performance,metric,status\nold,1,x,FAILURE\n",
        "res.csv": "model,performance,metric,status\nstale,1,x,FAILURE\n",
    }
    for host in HOSTS.split(","):
        for name, text in files.items():
            write(lab, host, f"{place}/{name}", text)
        for program in ("madengine", "docker"):
            write(lab, host, f"/usr/local/bin/{program}", (STANDIN / program).read_text(), "755")
        write(lab, host, "/usr/local/bin/rocm-smi", "#!/bin/sh\necho WARNING: No JSON data to report\n", "755")
    yield place
    for host in HOSTS.split(","):
        run(lab, host, "sh", "-c", "rm -rf /usr/local/bin/madengine /usr/local/bin/docker /usr/local/bin/rocm-smi")


def run(lab, host, *words, text=None, check=True):
    return on_host(lab, host, *words, check=check, text=text).stdout


def write(lab, host, path, text, mode="644"):
    run(lab, host, "sh", "-c", f"mkdir -p $(dirname {path}); cat > {path}; chmod {mode} {path}", text=text)


@pytest.fixture
def models(lab, checkout):
    """Launch models and give what became of them."""

    def launch(*words, **more):
        own = ["--lab", lab.name, "--hosts", HOSTS, "--chdir", checkout, "--output", "json"]
        return madctl("launch", *own, *words, **more)

    yield launch
    for host in HOSTS.split(","):
        assert containers(lab, host) == ""


def containers(lab, host):
    return run(lab, host, "sh", "-c", "docker ps --all --format '{{.Names}}' | grep . || true").strip()


def contexts(done):
    return sorted(
        (json.loads(text) for text in re.findall(r"CONTEXT (\{.*\})", done.err)),
        key=lambda context: context["multi_node_args"]["NODE_RANK"],
    )


def test_two_nodes_get_ranks_and_the_first_ones_result_counts(models, lab):
    done = models("--tags", "good")

    assert done.code == 0, done.err
    first, second = (context["multi_node_args"] for context in contexts(done))
    assert first == {
        "RUNNER": "torchrun",
        "NNODES": 2,
        "NODE_RANK": 0,
        "MASTER_ADDR": lab.host("node1").data_address,
        "MASTER_PORT": 29500,
        "HOST_LIST": "",
        "NCCL_SOCKET_IFNAME": "ens14np0",
        "GLOO_SOCKET_IFNAME": "ens14np0",
    }
    assert second == {**first, "NODE_RANK": 1}
    data = done.json["data"]
    assert data["ranks_joined"] == 0  # No script here starts any.
    assert [row["status"] for node in data["nodes"] for row in node["models"]] == ["SUCCESS", "FAILURE"]
    assert data["nodes"][0]["models"][0]["performance"] == "42.5"


def test_a_model_that_fails_is_named_whatever_the_exit_code(models):
    done = models("--tags", "both")

    assert (done.code, done.codes) == (6, ["MODEL_FAILED"]), done.err
    error = done.json["errors"][0]
    assert (error["host"], error["message"]) == ("node1", "model bad: FAILURE")
    rows = done.json["data"]["nodes"][0]["models"]
    assert [(row["model"], row["status"]) for row in rows] == [("good", "SUCCESS"), ("bad", "FAILURE")]


def test_a_script_that_fails_on_another_node_ends_the_run_and_is_named(models):
    done = models("--tags", "late", "plain")

    assert (done.code, done.codes) == (6, ["MODEL_FAILED"]), done.err
    error = done.json["errors"][0]
    assert error["host"] == "node2"
    assert "model late: FAILURE: its container or script failed here, model plain: FAILURE" in error["message"]


def test_a_world_on_each_node_is_no_success(models):
    done = models("--tags", "alone")

    assert (done.code, done.codes) == (6, ["WORLD_DIFFERS"]), done.err
    assert done.json["errors"][0]["host"] == "node2"
    assert "MODEL_ALONE" in {warning["code"] for warning in done.json["warnings"]}


def test_a_table_of_another_name_and_models_that_madengine_leaves_out(models, on):
    done = models("--tags", "several", "--", "--output", "res.csv")

    assert done.code == 0, done.err
    rows = [[(row["model"], row["status"]) for row in node["models"]] for node in done.json["data"]["nodes"]]
    assert rows == [[("good", "SUCCESS"), ("other", "SKIPPED")], [("good", "FAILURE"), ("other", "SKIPPED")]]
    for host in HOSTS.split(","):
        assert "madengine.log" not in on(host, "ls", "/root").split()


def test_model_dir_is_a_checkout_and_nothing_need_run(lab, models, tmp_path):
    own = ["--lab", lab.name, "--hosts", HOSTS, "--output", "json", "--env", "MODEL_DIR=/opt/models"]
    done = madctl("launch", *own, "--tags", "good", "--", "--skip-model-run", cwd=tmp_path)

    assert done.code == 0, done.err
    assert "MODELS_SKIPPED" in {warning["code"] for warning in done.json["warnings"]}


def test_results_are_shown_and_merged(lab, checkout, models, tmp_path):
    own = ["--lab", lab.name, "--hosts", HOSTS, "--chdir", checkout, "--tags", "good"]
    done = madctl("launch", *own)

    assert done.code == 0, done.err
    assert re.search(r"good +42.5 +tokens/s +SUCCESS", done.err), done.err
    path = re.search(r"results (\S+)", done.err).group(1)
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["host"], row["node_rank"], row["model"], row["status"]) for row in rows] == [
        ("node1", "0", "good", "SUCCESS"),
        ("node2", "1", "good", "FAILURE"),
    ]


def test_contexts_are_merged_and_the_users_values_win(models, tmp_path):
    own = {
        "docker_env_vars": {"ODD": '"quoted" $(touch /tmp/x) {{ y }}\n'},
        "multi_node_args": {"NCCL_SOCKET_IFNAME": "mine0", "NODE_RANK": "7", "NNODES": "9"},
        "deep": {"list": [1, None, True, {"a": "b'c"}]},
    }
    base = {"deep": {"base": 1}, "gpu_vendor": "AMD", "docker_env_vars": {"BASE": 1, "ODD": "lost"}}
    (tmp_path / "context.json").write_text(json.dumps(base))
    for text in (repr(own), json.dumps(own)):
        done = models(
            "--tags", "good", "--additional-context", text, "--additional-context-file", str(tmp_path / "context.json")
        )

        assert done.code == 0, done.err
        for rank, context in enumerate(contexts(done)):
            assert context["docker_env_vars"]["ODD"] == own["docker_env_vars"]["ODD"]
            assert context["docker_env_vars"]["BASE"] == 1
            assert (context["deep"], context["gpu_vendor"]) == ({"base": 1, **own["deep"]}, "AMD")
            args = context["multi_node_args"]
            assert (args["NCCL_SOCKET_IFNAME"], args["NODE_RANK"], args["NNODES"]) == ("mine0", rank, 2)
        assert {warning["code"] for warning in done.json["warnings"]} >= {"CONTEXT_KEPT", "CONTEXT_REPLACED"}
    broken = models("--tags", "good", "--additional-context", repr({"docker_env_vars": {"ODD": "it's"}}))

    assert (broken.code, broken.codes) == (3, ["CONTEXT_UNSAFE"])


@pytest.mark.parametrize("text", ["{", "[1]", "__import__('os').system('touch /tmp/x')", ""])
def test_a_context_that_is_none_is_refused_at_once(models, text):
    done = models("--tags", "good", "--additional-context", text)

    assert (done.code, done.codes) == (2, ["CONTEXT_MALFORMED"])


def test_an_unmounted_mirror_is_refused_and_not_created(models, lab):
    done = models("--tags", "good", "--force-mirror-local", "/nfs-of-nobody/data")

    assert done.code == 3
    assert {(error["code"], error["host"]) for error in done.json["errors"]} == {
        ("MOUNT_MISSING", "node1"),
        ("MOUNT_MISSING", "node2"),
    }
    for host in HOSTS.split(","):
        assert "nfs-of-nobody" not in run(lab, host, "ls", "/").split()
    skipped = models("--tags", "good", "--force-mirror-local", "/nfs-of-nobody/data", "--skip", "storage")
    assert (skipped.code, skipped.codes) == (3, ["MIRROR_UNPROVEN"])


def test_a_shared_mirror_and_a_shared_checkout(models, lab, on):
    clients = glusterfs.serve(on, lab.host(glusterfs.SERVER).data_address)
    for host in HOSTS.split(","):
        glusterfs.mount(on, host, clients)
    on("node1", "cp", "-r", "/opt/models", "/nfs/models")
    on("node1", "mkdir", "/nfs/data")
    try:
        done = models("--tags", "good", "--force-mirror-local", "/nfs/data", "--chdir", "/nfs/models")
        places = [node["run_dir"] for node in done.json["data"]["nodes"]]
        tables = [on(host, "cat", f"{place}/work/perf.csv") for host, place in zip(HOSTS.split(","), places)]
        before = on("node1", "ls", "/nfs/models")
        mode = on("node1", "stat", "-c", "%a", "/nfs/data/DATA").strip()
    finally:
        for host in HOSTS.split(","):
            on(host, "/root/nfs.sh", "down")

    assert done.code == 0, done.err
    assert ["good" in table and "old" not in table for table in tables] == [True, True]
    assert sorted(before.split()) == ["alone", "models.json", "perf.csv", "res.csv", "scripts"]
    assert mode == "755"


def test_a_left_container_is_named_and_removed_on_demand(models, lab):
    run(lab, "node2", "docker", "run", "-t", "-d", "--name", "container_ci-good", "image", "cat")
    run(lab, "node1", "docker", "run", "-d", "--name", "container_x", "-e", "MADCTL_RUN_ID=long-ago", "image", "cat")
    run(lab, "node1", "docker", "run", "-d", "--name", "database", "image", "cat")
    run(lab, "node1", "docker", "run", "-d", "--name", "old_container_good_good", "image", "cat")
    try:
        refused = models("--tags", "good")
        ours = models("--tags", "good", "--replace-containers")
        run(lab, "node1", "docker", "rm", "--force", "old_container_good_good")
        both = models("--tags", "good", "--replace-containers", "--replace-containers", "container_ci-good")
        kept = containers(lab, "node1")
    finally:
        names = ["container_x", "database", "old_container_good_good"]
        for host, name in (("node2", "container_ci-good"), *(("node1", name) for name in names)):
            run(lab, host, "sh", "-c", f"docker rm --force {name} || true")

    assert sorted((error["code"], error["host"]) for error in refused.json["errors"]) == [
        ("CONTAINER_LEFT", "node1"),
        ("CONTAINER_LEFT", "node1"),
        ("CONTAINER_LEFT", "node2"),
    ]
    assert sorted((error["host"], error["message"].split()[1]) for error in ours.json["errors"]) == [
        ("node1", "old_container_good_good"),
        ("node2", "container_ci-good"),
    ]
    assert both.code == 0, both.err
    assert kept == "database"


@pytest.fixture
def slow(lab, checkout):
    """A model that runs on both hosts, each with its container."""
    argv = [str(MADCTL), "launch", "--lab", lab.name, "--hosts", HOSTS, "--chdir", checkout, "--tags", "slow"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)
    read_until(process, "CONTEXT")
    wait_for(lambda: all(containers(lab, host) == "container_slow_slow" for host in HOSTS.split(",")))
    yield process
    process.kill()
    process.wait()
    madctl("stop", "--force")


def test_ctrl_c_leaves_no_container(lab, slow):
    slow.send_signal(signal.SIGINT)
    said = slow.communicate(timeout=180)[0]

    assert slow.returncode == 130, said
    assert [containers(lab, host) for host in HOSTS.split(",")] == ["", ""]
    assert left_behind(lab) == []


def test_a_killed_madctl_leaves_the_run_and_its_stop_no_container(lab, slow):
    slow.kill()
    slow.wait()
    assert [containers(lab, host) for host in HOSTS.split(",")] == ["container_slow_slow"] * 2
    stopped = madctl("stop")

    assert stopped.code == 0, stopped.err
    assert [containers(lab, host) for host in HOSTS.split(",")] == ["", ""]


def test_a_killed_supervisor_leaves_no_container_to_stop(lab, slow):
    for host in HOSTS.split(","):
        run(lab, host, "sh", "-c", "pkill -9 -f '/madctl_node.py supervisor /var'", check=False)
    slow.communicate(timeout=180)
    madctl("stop")

    assert [containers(lab, host) for host in HOSTS.split(",")] == ["", ""]


def test_a_container_that_docker_keeps_is_not_hidden(lab, slow):
    real = (STANDIN / "docker").read_text()
    write(lab, "node2", "/usr/local/bin/docker", real.replace('verb == "rm"', 'verb == "never"'), "755")
    slow.send_signal(signal.SIGINT)
    said = slow.communicate(timeout=180)[0]
    unproven = madctl("stop")
    write(lab, "node2", "/usr/local/bin/docker", real, "755")
    proven = madctl("stop")

    assert "node2: left behind: containers that docker does not remove" in said
    assert (slow.returncode, "MODEL_FAILED" in said) == (130, False), said
    assert (unproven.code, "node2" in unproven.err, proven.code) == (9, True, 0), unproven.err
    assert [containers(lab, host) for host in HOSTS.split(",")] == ["", ""]


def test_a_checkout_that_holds_its_runs_and_a_program_that_cannot_run(models, lab):
    inside = models("--tags", "good", "--run-dir", "/opt/models/runs")
    write(lab, "node2", "/usr/local/bin/madengine", "#!/no/such/python\n", "755")
    try:
        refused = models("--tags", "good")
        broken = models("--tags", "good", "--skip", "madengine")
    finally:
        write(lab, "node2", "/usr/local/bin/madengine", (STANDIN / "madengine").read_text(), "755")
        for host in HOSTS.split(","):
            run(lab, host, "rm", "-r", "/opt/models/runs")

    assert inside.code == 0, inside.err
    assert [(error["code"], error["host"]) for error in refused.json["errors"]] == [("MADENGINE_BROKEN", "node2")]
    error = broken.json["errors"][0]
    assert (broken.code, error["code"], error["host"]) == (6, "MODEL_FAILED", "node2"), broken.err
    assert error["message"].startswith("madengine could not be started: ")


def test_version_2_gets_its_environment(models, lab):
    for host in HOSTS.split(","):
        write(lab, host, "/etc/madengine-version", "2.0.1")
    try:
        done = models("--tags", "good", "other")
        bad = models("--tags", "late")
        alone = models("--tags", "alone")
        run(lab, "node2", "rm", "/etc/madengine-version")
        mixed = models("--tags", "good")
    finally:
        for host in HOSTS.split(","):
            run(lab, host, "rm", "-f", "/etc/madengine-version")

    assert done.code == 0, done.err
    address = lab.host("node1").data_address
    for rank in (0, 1):
        words = f"--nnodes 2 --node_rank {rank} --nproc_per_node 1 --master_addr {address} --master_port 29500"
        assert f"RUNNER torchrun {words}" in done.err
    assert [row["status"] for row in done.json["data"]["nodes"][1]["models"]] == ["SUCCESS", "SKIPPED"]
    assert (bad.code, bad.codes, bad.json["errors"][0]["host"]) == (6, ["MODEL_FAILED"], "node2")
    assert (alone.code, alone.codes) == (6, ["WORLD_DIFFERS"])
    assert [error["message"] for error in mixed.json["errors"]] == ["madengine is version 1.0.0, most nodes have 2.0.1"]


def test_credentials_are_not_shown_but_kept(models, on):
    done = models("--tags", "good")

    assert "Credentials: " in done.err
    assert "hunter2" not in done.err + done.out
    run_dir = done.json["data"]["nodes"][0]["run_dir"]
    assert "hunter2hunter2" in on("node1", "cat", f"{run_dir}/logs/runner.out")
    files = [run_dir, f"{run_dir}/logs/runner.out", f"{run_dir}/work", f"{run_dir}/work/models.json"]
    assert on("node1", "stat", "-c", "%a", *files).split() == ["700", "600", "700", "600"]


def test_dry_run_gives_two_words_for_the_context(models):
    done = models("--tags", "good", "more", "--dry-run", "--", "--skip-model-run")

    assert done.code == 0, done.err
    argv = done.json["data"]["nodes"][1]["model"]["argv"]
    assert argv[:6] == ["/usr/local/bin/madengine", "run", "--tags", "good", "more", "--additional-context"]
    assert ast.literal_eval(argv[6])["multi_node_args"]["NODE_RANK"] == 1
    assert argv[7:] == ["--live-output", "--timeout", "31536000", "--skip-model-run"]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_script_of_ones_own_uses_the_runner_in_both_ways(launch, shell, tmp_path):

    script = f'TRAIN={EXAMPLE}; run_cmd="$MAD_MULTI_NODE_RUNNER $TRAIN"; $MAD_MULTI_NODE_RUNNER $TRAIN && eval $run_cmd'
    done = launch("--command", "--nproc-per-node", "2", "--", shell, "-c", script)

    assert done.code == 0, done.err
    assert done.err.count("sum 10, expected 10") == 8
