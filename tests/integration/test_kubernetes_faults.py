# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a cluster, on the stand-in for one: each fault, and what every command says of it."""

import json
import os
import re
import shutil
import signal

import pytest

from tests.integration import kubernetes_site
from tests.integration.command import JOBS, madctl, wait_for
from tests.integration.host_processes import left_behind

COUNT, WAIT, FAIL = f"{JOBS}/count.py", f"{JOBS}/wait.py", f"{JOBS}/fail.py"
KINDS = ("jobs", "pods", "services", "configmaps", "secrets")
ROOM = "0/3 nodes are available: 3 Insufficient amd.com/gpu."
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="not installed: kubectl"),
    pytest.mark.usefixtures("own_records"),
]


@pytest.fixture(scope="module")
def everything():
    with kubernetes_site.running() as site:
        yield site


@pytest.fixture
def site(everything, own_records, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", everything.cluster.kubeconfig)
    yield everything
    cluster = everything.cluster
    cluster.renew_token()
    cluster.allow_again()
    for plural in ("jobs", "pods"):
        cluster.limit(plural, None)
    cluster.image_problem(None)
    cluster.unschedulable(None)
    cluster.suspend_new_jobs(False)
    for host in cluster.lab.hosts:
        cluster.node_is_back(host.name)
    everything.clear()
    assert left_behind(everything.lab) == []


@pytest.fixture
def waiting(site):
    """A launch whose six ranks print that they wait, and then do."""
    launch = site.begin(WAIT)
    launch.until("│ waiting", 6)
    launch.run_id = latest()
    return launch


def latest():
    return madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]


def pod(site, number):
    return next(one["metadata"]["name"] for one in site.objects("pods") if f"-{number}-" in one["metadata"]["name"])


def nothing(site):
    return all(site.objects(kind) == [] for kind in KINDS)


# -- what the server refuses -----------------------------------------------------------------------


def test_without_a_kubeconfig_nothing_begins(site, tmp_path):
    done = site.launch(WAIT, env={"KUBECONFIG": str(tmp_path / "none")})

    assert (done.code, done.codes) == (2, ["SCHEDULER_MISSING"]), done.err
    assert "no usable kubeconfig" in done.err and "--kubeconfig PATH" in done.err


def test_a_token_that_has_expired(site):
    site.cluster.expire_token()
    done = site.launch(WAIT)

    assert (done.code, done.codes) == (2, ["SCHEDULER_REFUSED"]), done.err
    assert "Unauthorized" in done.err and "log in" in done.err
    assert madctl("ps", "--output", "json").json["data"]["runs"] == []


@pytest.mark.parametrize("resource", ["secrets", "configmaps", "services", "jobs"])
def test_a_right_that_is_missing_is_named_and_nothing_is_left(site, resource):
    site.cluster.forbid("create", resource)
    done = site.launch(WAIT)

    assert (done.code, done.codes) == (2, ["SCHEDULER_REFUSED"]), done.err
    assert f'cannot create resource "{resource}"' in done.json["errors"][0]["message"]
    assert nothing(site)


def test_a_namespace_that_is_missing(site):
    done = site.launch("--namespace", "nowhere", WAIT)

    assert (done.code, done.codes) == (2, ["SCHEDULER_REFUSED"]), done.err
    assert 'namespaces "nowhere" not found' in done.err


def test_a_quota_of_jobs_is_a_refusal_and_nothing_is_left(site):
    site.cluster.limit("jobs", 0)
    done = site.launch(WAIT)

    assert (done.code, done.codes) == (2, ["SCHEDULER_REFUSED"]) and "exceeded quota" in done.err, done.err
    assert nothing(site)


def test_logs_that_may_not_be_read_cost_the_output_but_not_the_verdict(site):
    site.cluster.forbid("get", "pods/log")
    done = site.launch(FAIL, "3")

    assert (done.code, done.codes[0]) == (6, "RANK_FAILED"), done.err
    assert done.json["errors"][0]["host"] == "pod-1" and 'cannot get resource "pods/log"' in done.err
    assert "trying again" not in done.err


def test_a_server_that_is_not_reached(site, detached_run):
    with site.cluster.api_away():
        for words in ("stop", "logs", "collect"):
            done = madctl(words, detached_run)
            assert done.code == 4 and "SCHEDULER_UNREACHABLE" in done.err, (words, done.err)
        status = madctl("status")
        assert status.code == 4 and "API server cannot be reached" in status.err
        assert madctl("launch", *site.options(), WAIT).code == 4
    assert madctl("status", detached_run).out.startswith("running for")


@pytest.fixture
def detached_run(site):
    done = site.launch("--detach", WAIT)
    site.wait_joined(done.json["run_id"])
    return done.json["run_id"]


# -- what keeps pods from starting -------------------------------------------------------------------


def test_a_run_that_waits_says_why_and_ctrl_c_deletes_it(site):
    site.cluster.unschedulable(ROOM)
    launch = site.begin(WAIT)
    launch.until(f"queue   pod-0: {ROOM} (and 2 more)")
    status = madctl("status")
    assert re.match(rf"queued for [^:]+: pod-0: {re.escape(ROOM)} \(and 2 more\)\n\nrun ", status.out), status.out
    launch.send_signal(signal.SIGINT)

    code, said = launch.ended()
    assert code == 130 and "deleted before it began" in said, said
    wait_for(lambda: nothing(site))


def test_a_run_that_waits_is_stopped_and_nothing_is_left(site):
    site.cluster.unschedulable(ROOM)
    site.launch("--detach", WAIT)

    done = madctl("stop")

    assert done.code == 0 and "deleted before it began, nothing is left" in done.out, done.out + done.err
    assert nothing(site)


def test_a_quota_of_pods_is_what_a_run_waits_for(site):
    site.cluster.limit("pods", 0)
    launch = site.begin(WAIT)
    launch.until("exceeded quota")
    launch.send_signal(signal.SIGINT)

    assert launch.ended()[0] == 130


def test_an_image_that_cannot_be_pulled_ends_the_run_after_a_while(site):
    site.cluster.image_problem("ImagePullBackOff")
    done = site.launch("--start-timeout", "10", WAIT)

    error = done.json["errors"][0]
    assert (done.code, error["code"], error["host"]) == (5, "NODE_NOT_READY", "pod-0"), done.err
    assert error["message"].startswith("ImagePullBackOff: Back-off pulling image")
    wait_for(lambda: nothing(site))


def test_gpus_are_given_back_where_only_some_pods_start(site):
    done = site.launch("--start-timeout", "15", WAIT, nodes=4)

    error = done.json["errors"][0]
    assert (done.code, error["code"], error["host"]) == (5, "NODE_NOT_READY", "pod-3"), done.err
    assert "its pod did not start within 15 s" in error["message"] and "Too many pods" in error["message"]
    # The last one may still find room that the others have left, and nobody to dial in to.
    wait_for(lambda: None not in site.ends(latest()).values(), 120)


def test_a_queue_holds_a_run_releases_it_and_takes_it_back(site):
    site.cluster.suspend_new_jobs()
    launch = site.begin("--queue", "team", WAIT)
    launch.until("suspended, waits in queue team")
    job = f"madctl-{latest()}"
    site.cluster.suspend(job, False)
    launch.until("│ waiting", 6)

    site.cluster.suspend(job)
    launch.until("suspended, waits in queue team")
    assert madctl("status").out.startswith("queued")
    site.cluster.suspend(job, False)
    launch.until("│ waiting", 6)
    launch.send_signal(signal.SIGINT)

    assert launch.ended()[0] == 130


# -- what ends pods ----------------------------------------------------------------------------------


def test_a_pod_that_is_preempted_is_named_with_its_node(site, waiting):
    site.cluster.preempt(pod(site, 1))

    code, said = waiting.ended()
    assert code == 7 and re.search(r"madctl: pod-1: its pod on node\d was preempted: .*\[RUN_PREEMPTED\]", said), said


def test_a_pod_that_is_evicted_is_named(site, waiting):
    site.cluster.evict(pod(site, 2))

    code, said = waiting.ended()
    assert code == 7 and re.search(r"madctl: pod-2: its pod on node\d was evicted: Evict.*\[NODE_LOST\]", said), said


def test_the_first_pod_may_be_the_one_that_is_preempted(site, waiting):
    site.cluster.preempt(pod(site, 0))

    code, said = waiting.ended()
    assert code == 7 and re.search(r"madctl: pod-0: .*\[RUN_PREEMPTED\]", said), said


@pytest.mark.long
def test_a_first_process_that_runs_out_of_memory(site, waiting):
    site.cluster.out_of_memory(pod(site, 1))

    code, said = waiting.ended()
    assert code == 6 and "madctl: pod-1: out of memory" in said and "[RANK_FAILED]" in said, said
    assert "--memory" in said


def test_a_job_that_somebody_deletes_was_stopped(site, waiting):
    site.cluster.delete_job(f"madctl-{waiting.run_id}", "Foreground")

    code, said = waiting.ended()
    assert code == 130 and "the job was deleted in Kubernetes [RUN_STOPPED]" in said, said
    assert "stopped" in madctl("ps").out


@pytest.mark.long
def test_a_node_that_loses_its_power_is_named_long_before_the_cluster_knows(site, waiting):
    victim = next(one for one in site.objects("pods") if "-1-" in one["metadata"]["name"])
    host = victim["spec"]["nodeName"]
    site.cluster.node_not_ready(host)
    site.link(host, "down")
    try:
        code, said = waiting.ended()
    finally:
        site.link(host, "up")
    assert code == 7 and re.search(r"madctl: pod-1: .*\[NODE_LOST\]", said), said


# -- what ends streams -------------------------------------------------------------------------------


def test_the_output_is_whole_whatever_ends_its_streams(site):
    launch = site.begin("--nproc-per-node", "1", COUNT, "8")
    said = launch.until(" line ", 100)
    site.cluster.rotate_logs()
    said += launch.until(" line ", 100)
    site.cluster.expire_watches()
    said += launch.until(" line ", 100)
    site.cluster.cut_connections()
    said += launch.until(" line ", 100)
    with site.cluster.api_away():
        pass
    code, rest = launch.ended()
    said += rest

    assert code == 0, said[-2000:]
    for rank in range(3):
        numbers = [int(number) for number in re.findall(rf"│ {rank} line (\d+) ", said)]
        assert numbers == list(range(1, len(numbers) + 1)), rank
        assert len(numbers) > 100
    assert "has a gap" not in said


def test_a_gap_in_a_log_is_told(site):
    launch = site.begin("--nproc-per-node", "1", COUNT, "12")
    said = launch.until(" line ", 60)
    with site.cluster.api_away():
        site.wait_lines(pod(site, 1), 20)
        site.cluster.rotate_logs(keep=5)
    code, rest = launch.ended()
    said += rest

    numbers = [int(number) for number in re.findall(r"│ 1 line (\d+) ", said)]
    assert code == 0 and len(numbers) < numbers[-1], (code, numbers)
    told = [line for line in said.splitlines() if "│" not in line]
    assert any(re.search(r"the log of madctl-\S+ has a gap", line) for line in told), told


def test_a_server_that_is_away_in_the_middle_costs_nothing(site):
    launch = site.begin(FAIL, "3")
    said = launch.until("created job")
    with site.cluster.api_away():
        said += launch.until("trying again")
    code, rest = launch.ended()
    said += rest

    assert code == 6 and "pod-1: rank 3 failed: exit code 7 [RANK_FAILED]" in said, said
    assert said.count("giving up") == 2  # its line, and the last lines of the rank


def test_a_run_that_ended_while_nobody_looked_is_known_by_its_last_word(site):
    launched = site.launch("--detach", FAIL, "3")
    assert launched.code == 0, launched.err
    run_id = launched.json["run_id"]
    wait_for(lambda: site.ends(run_id).get(0) is not None, 200)
    assert site.ends(run_id)[0] == 6, madctl("logs", run_id).out
    site.cluster.forbid("get", "pods/log")

    status = json.loads(madctl("status", "--output", "json").out)["data"]["run"]
    assert (status["status"], status["cause"]) == ("failed", "pod-1 rank 3: exit code 7")
    attached = madctl("attach")
    assert attached.code == 6 and "pod-1: rank 3 failed" in attached.err
