# SPDX-License-Identifier: Apache-2.0
"""mpirun on hosts that have no key of each other: real Open MPI 4 and 5, real MPICH 4 and 5."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from madctl.lab import power
from tests.integration.command import EXAMPLE, JOBS, madctl, wait_for
from tests.integration.host_processes import left_behind, processes_of, sleepers
from tests.integration.launchers import follow
from tests.integration.mpi_flavours import FLAVOURS, both_kinds, every_kind, every_mpi, map_of, options
from tests.integration.run_answers import reports

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]

HOSTS = "node1,node2,node3"
# Seconds: enough to arm nodes and to get as far as mpirun can, on a busy machine, too.
START = "20"


@pytest.fixture
def mpirun(lab):
    """Launch under mpirun and give what became of it."""

    def run(mpi, *words, hosts=HOSTS, python=None, **more):
        own = ["--lab", lab.name, "--hosts", hosts, "--python", python or mpi["python"], "--output", "json"]
        return madctl("launch", *own, *options(mpi), *words, **more)

    return run


def test_no_host_trusts_another(lab, on):
    for name in ("node2", lab.host("node2").data_address):
        words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=5", name, "true"]
        assert on("node1", "sh", "-c", shlex.join(words) + " 2>&1; echo $?", check=False).split()[-1] == "255"
    assert "Permission denied" in on(
        "node1", "sh", "-c", "ssh -o BatchMode=yes -o StrictHostKeyChecking=no node2 true 2>&1 || true"
    )


@every_mpi
def test_ranks_reduce_and_are_numbered_node_by_node(mpirun, mpi, tmp_path, lab):
    config = madctl("lab", "ssh-config", "--name", lab.name).out.strip()
    (tmp_path / "hosts").write_text("node3 slots=1\nnode1 slots=2\nnode2 slots=1\n")
    own = ["--hostfile", str(tmp_path / "hosts"), "--ssh-config", config, "--python", mpi["python"]]
    done = madctl("launch", *own, "--output", "json", *options(mpi), "--", "mpi_reduce.py")

    assert done.code == 0, done.err
    own = {rank: dict(pair.split("=") for pair in words.split()) for rank, _, _, _, words in map_of(done)}
    assert [entry[:4] for entry in map_of(done)] == [
        (0, 4, "node3", 10),
        (1, 4, "node1", 10),
        (2, 4, "node1", 10),
        (3, 4, "node2", 10),
    ]
    assert [own[rank]["RANK"] for rank in range(4)] == ["0", "1", "2", "3"]
    assert [own[rank]["LOCAL_RANK"] for rank in range(4)] == ["0", "0", "1", "0"]
    assert [own[rank]["LOCAL_WORLD_SIZE"] for rank in range(4)] == ["1", "2", "2", "1"]
    assert {own[rank]["WORLD_SIZE"] for rank in range(4)} == {"4"}
    assert [own[rank]["GLOO_SOCKET_IFNAME"] for rank in range(4)] == ["ib0", "ens14np0", "ens14np0", "ens14np0"]
    data = done.json["data"]
    assert (data["runner"], data["ranks_joined"], data["world_size"]) == ("mpirun", 4, 4)
    assert [node["nproc_per_node"] for node in data["nodes"]] == [1, 2, 1]


@both_kinds
def test_torch_meets_without_a_change(mpirun, mpi):
    done = mpirun(mpi, "--nproc-per-node", "2", "--", EXAMPLE, hosts="node1,node3", python=sys.executable)

    assert done.code == 0, done.err
    assert done.err.count("sum 10, expected 10") == 4


@every_kind
def test_words_and_variables_arrive_byte_for_byte(mpirun, mpi):
    words = ["a b", ":", "-np", "--host", "$(touch /tmp/x)", "{{ 1 + 1 }}", "line\nbreak", "'\"", b"\xff\xfe", "", "--"]
    done = mpirun(mpi, "--env", "MINE=a {{ b }} : c", "--", "report.py", *words, hosts="node1,node2")

    assert done.code == 0, done.err
    expected = [(word if isinstance(word, bytes) else word.encode()).hex() for word in words]
    assert [report["argv"][1:] for report in reports(done)] == [expected, expected]
    for rank, report in enumerate(reports(done)):
        assert (report["env"]["MINE"], report["env"]["NODE_RANK"]) == ("a {{ b }} : c", str(rank))


def test_programs_that_only_know_mpi_are_left_alone(mpirun):
    done = mpirun(FLAVOURS["openmpi4"], "--", "sh", "-c", 'echo "rank $OMPI_COMM_WORLD_RANK, not ${RANK-any}"')

    assert done.code == 0, done.err
    assert sorted(re.findall(r"rank (\d), not any", done.err)) == ["0", "1", "2"]


def test_a_single_node_needs_no_daemon(tmp_path):
    mpi = FLAVOURS["mpich5"]
    own = ["--python", mpi["python"], "--run-dir", str(tmp_path), "--nproc-per-node", "2", "--output", "json"]
    done = madctl("launch", *own, "--master-port", "auto", *options(mpi), "--", "mpi_reduce.py")

    assert done.code == 0, done.err
    assert [entry[:2] for entry in map_of(done)] == [(0, 2), (1, 2)]


def test_dry_run_shows_the_whole_command_line(mpirun):
    mpi = FLAVOURS["openmpi5"]
    done = mpirun(mpi, "--nproc-per-node", "2", "--mpi-args", "--tag-output", "--dry-run", "--", "fail.py")

    assert (done.code, done.json["status"]) == (0, "planned"), done.err
    first, *others = done.json["data"]["nodes"]
    addresses = [node["address"] for node in (first, *others)]
    assert first["argv"] == [
        *[mpi["mpirun"], "--host", ",".join(f"{address}:2" for address in addresses), "-np", "6"],
        *["--bind-to", "none", "--map-by", "slot", "--tag-output"],
        *["/usr/bin/python3", "-I", "-S", first["run_dir"] + "/bin/_supervise/rank_wrapper.py"],
    ]
    assert [node["argv"] for node in others] == [[], []]
    assert first["rank_argv"] == [mpi["python"], "fail.py"]
    assert first["env"]["OMPI_MCA_btl_tcp_if_include"] == addresses[0].rpartition(".")[0] + ".0/24"


def test_what_the_plan_decides_is_refused_in_the_users_own_words(mpirun):
    done = mpirun(FLAVOURS["openmpi5"], "--mpi-args", "-np 3", "--", "report.py")

    assert (done.code, done.codes) == (2, ["MPI_ARGS_RESERVED"])


@every_kind
def test_a_script_of_the_first_node_uses_mpirun_as_often_as_it_likes(mpirun, mpi):
    script = 'cd "$0"; $MAD_MULTI_NODE_RUNNER mpi_reduce.py && eval "$MAD_MULTI_NODE_RUNNER mpi_reduce.py"'
    done = mpirun(mpi, "--command", "--", "bash", "-c", script, str(JOBS))

    assert done.code == 0, done.err
    assert [entry[:4] for entry in map_of(done)] == [
        (rank, 3, f"node{rank + 1}", 6) for rank in range(3) for _ in range(2)
    ]
    assert done.json["data"]["ranks_joined"] is None


# -- refusals --------------------------------------------------------------------------------------


def replaced(on, host, text):
    """Replace one host's mpirun."""
    on(
        host,
        "sh",
        "-c",
        f"rm -f /usr/local/bin/mpirun; printf '#!/bin/sh\\necho \"{text}\"\\n' > /usr/local/bin/mpirun",
    )
    on(host, "chmod", "755", "/usr/local/bin/mpirun")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mpirun (Open MPI) 4.1.4", []),
        ("mpirun (Open MPI) 4.1.9", ["MPI_MIXED"]),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307", ["MPI_UNSUPPORTED"]),
        # All texts are told apart without hosts, too.
        pytest.param("HYDRA build details:\\n Version: 4.0.2", ["MPI_MIXED"], marks=pytest.mark.long),
        pytest.param(
            "HYDRA build details:\\n Configure options: --prefix=/opt/mvapich2-2.3.7\\n Version: 3.2",
            ["MPI_UNSUPPORTED"],
            marks=pytest.mark.long,
        ),
        pytest.param("", ["MPI_UNSUPPORTED"], marks=pytest.mark.long),
    ],
)
def test_another_mpi_on_one_node_is_refused(lab, on, text, expected):
    for host in ("node1", "node2"):
        replaced(on, host, "mpirun (Open MPI) 4.1.4")
    replaced(on, "node3", text)
    own = ["--lab", lab.name, "--hosts", HOSTS, "--python", sys.executable, "--output", "json"]
    runner = ["--runner", "mpirun", "--allow-run-as-root", "--mpirun", "/usr/local/bin/mpirun"]
    try:
        done = madctl("check", *own, *runner, "--", "report.py")
        on("node3", "rm", "/usr/local/bin/mpirun")
        missing = madctl("check", *own, *runner, "--", "report.py")
    finally:
        for host in HOSTS.split(","):
            on(host, "rm", "-f", "/usr/local/bin/mpirun")

    found = [(error["code"], error["host"]) for error in done.json["errors"]]
    assert found == [(code, "node3") for code in expected], done.err
    assert [(error["code"], error["host"]) for error in missing.json["errors"]] == [("MPI_MISSING", "node3")]


def test_root_has_to_say_that_it_means_it(lab):
    own = ["--lab", lab.name, "--hosts", "node1,node2", "--python", sys.executable, "--output", "json"]
    done = madctl("launch", *own, "--runner", "mpirun", *FLAVOURS["mpich4"]["options"], "--", "report.py")

    assert (done.code, done.codes) == (3, ["MPI_AS_ROOT"] * 2)


# -- failures --------------------------------------------------------------------------------------


@every_mpi
def test_the_rank_that_failed_is_named(mpirun, mpi):
    done = mpirun(mpi, "--nproc-per-node", "2", "--", "fail.py", "3")

    first = done.json["errors"][0]
    assert (done.code, first["code"], first["host"], first["rank"], first["exit_code"]) == (
        *(6, "RANK_FAILED"),
        *("node2", 3, 7),
    ), done.err
    assert "giving up" in done.err.split("last lines of node2 rank 3:")[1]


def stray(lab, mpi):
    """Launch, and wait until every rank has started what is hard to find: MPICH waits for nobody."""
    own = ["--python", mpi["python"], *options(mpi)]
    process, run_id = follow(lab, *own, "--", "stray.py", "bare", marker="strayed 2")
    wait_for(lambda: len({host for host, _ in sleepers(lab)}) == 3)
    return process, run_id


def ends(process, seconds=180):
    """Wait for a launch to end, and give its exit code and what it said."""
    rest = process.communicate(timeout=seconds)[0]
    return process.returncode, rest


@every_kind
def test_a_daemon_that_is_killed_ends_the_run(lab, mpi, on):
    process, _ = stray(lab, mpi)
    on("node2", "sh", "-c", f"kill -9 $(pgrep -o {mpi['daemon'][:15]})")
    code, said = ends(process)

    assert code == 6, said
    assert "node2: its MPI daemon failed: " in said, said
    assert sleepers(lab) == []


@every_kind
def test_mpirun_that_is_killed_ends_the_run(lab, mpi, on):
    process, run_id = stray(lab, mpi)
    events = map(json.loads, on("node1", "cat", f"/var/tmp/madctl-0/{run_id}/events.jsonl").splitlines())
    on("node1", "kill", "-9", str(next(event["pid"] for event in events if event["event"] == "started")))
    code, said = ends(process)

    assert code == 6, said
    assert "node1: mpirun failed" in said, said
    assert sleepers(lab) == []


@every_kind
def test_ctrl_c_ends_every_rank(lab, mpi):
    process, _ = stray(lab, mpi)
    process.send_signal(2)
    code, said = ends(process)

    assert code == 130, said
    assert sleepers(lab) == []
    assert left_behind(lab) == []


@pytest.mark.long  # The same is shown in containers, and without MPI.
@both_kinds
def test_a_node_without_power_is_lost(own_lab, mpi):
    process, _ = follow(own_lab, "--python", mpi["python"], *options(mpi), "--", "wait.py", marker="waiting 2")
    power.power_off(own_lab.host("node2"))
    code, said = ends(process)

    assert code == 7, said
    assert "node2" in said.split("[NODE_LOST]")[0].splitlines()[-1]


@both_kinds
def test_a_daemon_that_cannot_come_back_is_named(mpirun, mpi, on, lab):
    on("node1", "iptables", "-A", "INPUT", "-p", "tcp", "-s", lab.host("node2").data_address, "-j", "DROP")
    try:
        done = mpirun(mpi, "--skip", "proof", "--start-timeout", START, "--", "wait.py")
    finally:
        on("node1", "iptables", "-F", "INPUT")

    assert (done.code, done.codes[0], done.json["errors"][0]["host"]) == (5, "DAEMON_NOT_READY", "node2"), done.err
    assert f"got no answer from {lab.host('node1').data_address}" in done.json["errors"][0]["message"]
    # MPICH starts what it can; Open MPI waits for all.
    assert done.json["data"]["ranks_joined"] < 3


def test_an_mpirun_that_hangs_is_named(mpirun, on):
    mpi = FLAVOURS["openmpi4"]
    text = "#!/bin/sh\ncase $1 in --version) exec /usr/bin/mpirun.openmpi --version;; esac\nexec sleep 300\n"
    for host in ("node1", "node2", "node3"):
        on(
            host,
            "sh",
            "-c",
            f"printf '%s' {shlex.quote(text)} > /usr/local/bin/mpirun; chmod 755 /usr/local/bin/mpirun",
        )
    try:
        hung = {**mpi, "options": ["--mpirun", "/usr/local/bin/mpirun"]}
        done = mpirun(hung, "--start-timeout", START, "--", "wait.py")
    finally:
        for host in ("node1", "node2", "node3"):
            on(host, "rm", "/usr/local/bin/mpirun")

    found = [(error["code"], error["host"]) for error in done.json["errors"]]
    assert (done.code, found) == (5, [("DAEMON_NOT_READY", "node1")]), done.err
    assert "mpirun did not ask for the daemon of node" in done.json["errors"][0]["message"]


@both_kinds
def test_a_daemon_of_a_script_that_cannot_come_back_is_named(mpirun, mpi, on, lab):
    on("node1", "iptables", "-A", "INPUT", "-p", "tcp", "-s", lab.host("node2").data_address, "-j", "DROP")
    script = "$MAD_MULTI_NODE_RUNNER sleep 100"
    try:
        done = mpirun(mpi, "--skip", "proof", "--start-timeout", START, "--command", "--", "sh", "-c", script)
    finally:
        on("node1", "iptables", "-F", "INPUT")

    assert (done.code, done.codes[0], done.json["errors"][0]["host"]) == (5, "DAEMON_NOT_READY", "node2"), done.err
    assert f"got no answer from {lab.host('node1').data_address}" in done.json["errors"][0]["message"]


def test_a_script_may_name_hosts_as_the_run_does(mpirun):
    mpi = FLAVOURS["mpich5"]
    program = Path(mpi["mpirun"])
    done = mpirun(mpi, "--command", "--", "sh", "-c", f"{program} -hosts node1,node2 -np 2 hostname")
    other = mpirun(mpi, "--command", "--", "sh", "-c", f"{program} -hosts node1,203.0.113.9 -np 2 hostname")

    assert done.code == 0, done.err
    assert "node1:0" not in done.err and re.search(r"node1 +│ node2", done.err)
    assert other.code == 6
    assert "madctl: 203.0.113.9: it is not a node of this run" in other.err


# -- the relay -------------------------------------------------------------------------------------

ASK = """
import json, os, socket, sys
os.chdir(sys.argv[1])
channel = socket.socket(socket.AF_UNIX)
channel.connect('relay.sock')
channel.sendall(json.dumps({"key": sys.argv[2], "host": sys.argv[3], "command": sys.argv[4]}).encode() + b"\\n")
print(channel.recv(1000).decode())
"""


def test_the_relay_takes_nobody_elses_word(lab, on):
    mpi = FLAVOURS["openmpi4"]
    process, run_id = follow(lab, "--python", mpi["python"], *options(mpi), "--", "wait.py", marker="waiting 2")
    run_dir = f"/var/tmp/madctl-0/{run_id}"
    address = lab.host("node2").data_address
    ask = ["/usr/bin/python3", "-c", ASK, run_dir]
    wrong = on("node1", *ask, "00" * 32, address, "touch /tmp/proof; orted")
    key = on("node1", "cat", f"{run_dir}/relay.key")
    other = on("node1", *ask, key, address, "touch /tmp/proof")
    twice = on("node1", *ask, key, address, "touch /tmp/proof; exec orted")
    elsewhere = on("node1", *ask, key, "203.0.113.9", "exec orted")
    stranger = on(
        "node1", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *ask, key, address, "orted", check=False
    )
    modes = on("node1", "stat", "-c", "%a", run_dir, f"{run_dir}/relay.key").split()
    listening = on("node2", "sh", "-c", "ss -Hlntp | grep -c supervisor || true").strip()
    seen = [
        (host, pid, name)
        for host in HOSTS.split(",")
        for pid in processes_of(lab.host(host).init_pid)
        for name in ("cmdline", "environ")
        if key.encode() in read(f"/proc/{pid}/{name}")
    ]
    written = [on(host, "sh", "-c", f"cat {run_dir}/*.json*") for host in HOSTS.split(",")]
    process.send_signal(2)
    assert ends(process)[0] == 130

    assert "key of this run is missing or wrong" in wrong
    assert "not a daemon of MPI" in other
    assert "not a node of this run" in elsewhere
    # Asked for with the right key, but the node has its daemon.
    assert json.loads(twice) == {"address": address, "refused": ""}
    assert stranger.strip() == ""
    assert modes == ["700", "600"]
    assert listening == "0"
    assert (seen, [text for text in written if key in text]) == ([], [])
    assert "proof" not in on("node2", "ls", "/tmp")
    events = [json.loads(line) for line in on("node1", "cat", f"{run_dir}/events.jsonl").splitlines()]
    assert [event["event"] for event in events].count("relay_refused") == 2
    assert "relay.key" not in on("node1", "ls", run_dir)


def read(path):
    """Read a file of a process, which may have ended."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def test_a_run_outlives_whoever_launched_it(lab, mpirun):
    mpi = FLAVOURS["openmpi5"]
    done = mpirun(mpi, "--detach", "--", "wait.py", "leak")
    assert (done.code, done.json["status"]) == (0, "running"), done.err
    wait_for(lambda: madctl("logs").out.count("waiting") == 3)
    stopped = madctl("stop")

    assert (stopped.code, "nothing is left on node[1-3]" in stopped.out) == (0, True)
    assert left_behind(lab) == []


def test_a_second_mpirun_needs_somebody_who_follows(lab, mpirun, on):
    mpi = FLAVOURS["openmpi5"]
    script = 'cd "$0"; $MAD_MULTI_NODE_RUNNER mpi_reduce.py; until [ -e /tmp/go ]; do sleep 0.1; done; $MAD_MULTI_NODE_RUNNER mpi_reduce.py'
    done = mpirun(mpi, "--command", "--detach", "--", "bash", "-c", script, str(JOBS))
    assert (done.code, done.json["status"]) == (0, "running"), done.err
    on("node1", "touch", "/tmp/go")
    try:
        wait_for(lambda: left_behind(lab) == [])
    finally:
        on("node1", "rm", "/tmp/go")

    said = madctl("logs", "--host", "node1").out
    assert "the run has no follower" in said


@pytest.fixture
def routed(lab, on):
    """Set up two hosts with one address each, routes for everything else, and no data network."""
    hosts = [lab.host(name) for name in ("node1", "node2")]
    network = hosts[0].management_address.rpartition(".")[0] + ".0/24"
    for host in hosts:
        own = host.management_address
        text = f"ip addr flush dev ens14np0; ip addr add {own}/32 dev eno1; ip addr del {own}/24 dev eno1; "
        on(host.name, "sh", "-c", text + f"ip route replace {network} dev eno1 scope link src {own}")
    yield network
    for host in hosts:
        text = f"ip addr flush dev eno1; ip addr add {host.management_address}/24 dev eno1; "
        on(host.name, "sh", "-c", text + f"ip addr add {host.data_address}/24 dev ens14np0")


@pytest.mark.parametrize("mpi", [FLAVOURS["openmpi4"], FLAVOURS["mpich5"]], ids=["openmpi4", "mpich5"])
def test_ranks_reduce_where_every_host_has_a_network_of_its_own(mpirun, routed, mpi):
    done = mpirun(
        mpi, "--interface", routed, "--timeout", "180", "--", "mpi_reduce.py", hosts="node1,node2", timeout=240
    )
    chosen = mpirun(mpi, "--dry-run", "--", "mpi_reduce.py", hosts="node1,node2")

    assert done.code == 0, done.err
    assert [entry[:4] for entry in map_of(done)] == [(0, 2, "node1", 3), (1, 2, "node2", 3)]
    # By the routes there is exactly one card, so it is chosen without a request, too.
    assert [node["interface"] for node in chosen.json["data"]["nodes"]] == ["eno1", "eno1"]
