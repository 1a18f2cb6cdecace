# SPDX-License-Identifier: Apache-2.0
"""The words of Slurm on a login node: what is submitted, and what the answers mean; with programs that only pretend."""

import shlex
from datetime import datetime
from pathlib import Path

import pytest

from madctl import cli
from madctl.errors import RunError, UsageError
from madctl.jobs import ends, slurm
from madctl.request import scheduler_options, slurm_options
from madctl.request.role_variables import launch_variables


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Put a program on the path that answers, and writes down how it was called."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def give(name, out="", err="", code=0):
        text = f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/words; env > {tmp_path}/env\n"
        text += f"printf '%b' {shlex.quote(out)}; printf '%b' {shlex.quote(err)} >&2; exit {code}\n"
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
        return tmp_path

    return give


def options(*words):
    return cli.parsed(["launch", "--on", "slurm", "--nodes", "2", "--run-root", "/shared", *words, "--", "train.py"])


def test_the_user_s_words_come_before_the_script_and_ours_are_as_agents_need_them():
    argv = slurm.command("r1", Path("/shared/r1"), 2, ["--partition=gpu"])

    assert argv[0] == "sbatch" and argv[-2:] == ["--partition=gpu", "/shared/r1/job.sh"]
    assert {"--nodes=2", "--ntasks-per-node=1", "--no-requeue", "--output=/shared/r1/job.log"} <= set(argv)


def test_a_word_of_the_user_stays_one_word(answers):
    place = answers("sbatch", "7\n")
    slurm.submit(["sbatch", "--comment=$(touch /tmp/no); a b"], [])

    assert (place / "words").read_text() == "--comment=$(touch /tmp/no); a b\n"


def test_variables_that_would_change_the_job_or_are_secret_are_not_passed_on(answers, monkeypatch):
    for name in ("SBATCH_ARRAY_INX", "SBATCH_EXPORT", "SQUEUE_FORMAT", "HF_TOKEN", "SBATCH_PARTITION"):
        monkeypatch.setenv(name, "value-of-" + name)
    place = answers("sbatch", "7;cluster\n", "sbatch: remark\n")

    assert slurm.submit(["sbatch"], ["HF_TOKEN"]) == ("7", ["sbatch: remark"])
    passed = (place / "env").read_text()
    assert "value-of-SBATCH_PARTITION" in passed and passed.count("value-of-") == 1


@pytest.mark.parametrize(
    ("err", "code", "message"),
    [
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
            "SCHEDULER_REFUSED",
            "Slurm refuses the job: Invalid account or account/partition combination specified",
        ),
        ("", "SCHEDULER_REFUSED", "Slurm refuses the job: no reason given"),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
            "SCHEDULER_UNREACHABLE",
            "Slurm's controller cannot be reached: Unable to contact slurm controller (connect failure)",
        ),
    ],
)
def test_a_refusal_is_told_in_slurm_s_words(answers, err, code, message):
    answers("sbatch", "", err, 1)
    with pytest.raises((UsageError, RunError)) as caught:
        slurm.submit(["sbatch"], [])

    (problem,) = caught.value.problems
    assert (problem.code, problem.message) == (code, message)
    assert caught.value.exit_code == (2 if code == "SCHEDULER_REFUSED" else 4)


@pytest.mark.parametrize("out", ["", "job\n", "7 8\n"])
def test_an_answer_without_a_job_id_is_refused(answers, out):
    answers("sbatch", out)
    with pytest.raises(UsageError):
        slurm.submit(["sbatch"], [])


@pytest.mark.parametrize(
    ("out", "err", "code", "state"),
    [
        ("PENDING|Resources\n", "", 0, slurm.State("PENDING", "Resources")),
        ("RUNNING|None\n", "", 0, slurm.State("RUNNING")),
        ("", "", 0, slurm.FORGOTTEN),
        ("", "slurm_load_jobs error: Invalid job id specified\n", 1, slurm.FORGOTTEN),
    ],
)
def test_a_job_is_as_the_controller_knows_it(answers, out, err, code, state):
    place = answers("squeue", out, err, code)

    assert slurm.look("7") == state
    assert "LC_ALL=C" in (place / "env").read_text().splitlines()


def test_a_controller_that_is_not_reached_says_nothing_about_a_job(answers):
    answers("squeue", "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", 1)
    with pytest.raises(RunError) as caught:
        slurm.look("7")

    assert caught.value.problems[0].code == "SCHEDULER_UNREACHABLE"


def test_without_sbatch_it_is_said_where_to_go(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError) as caught:
        slurm.require()

    assert caught.value.problems[0].code == "SCHEDULER_MISSING"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("TIMEOUT", "TIMED_OUT"),
        ("PREEMPTED", "RUN_PREEMPTED"),
        ("NODE_FAIL", "NODE_LOST"),
        ("CANCELLED", "RUN_STOPPED"),
        ("OUT_OF_MEMORY", "RANK_FAILED"),
        ("BOOT_FAIL", "NODE_NOT_READY"),
    ],
)
def test_the_end_of_a_job_is_the_reason_of_a_run_that_did_not_fail_itself(state, code):
    assert ends.meaning(slurm.State(state)).code == ends.without_record(slurm.State(state), "7", False, "").code == code


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_an_end_that_follows_from_the_run_explains_nothing(state):
    assert ends.meaning(slurm.State(state)) is None
    found = ends.without_record(slurm.State(state, "NonZeroExitCode"), "7", False, "python3: not found")
    assert found.code == "NODE_NOT_READY" and found.message.endswith(
        f"Slurm says {state} NonZeroExitCode: python3: not found"
    )


def test_a_run_that_began_and_wrote_no_end_lost_its_program_whatever_slurm_calls_that():
    state = slurm.State("FAILED", "JobLaunchFailure")

    assert ends.without_record(state, "7", True, "").code == "SUPERVISOR_LOST"
    assert ends.without_record(state, "7", False, "").message.endswith("does not see the run directory")


def test_a_timeout_of_the_run_is_below_the_limit_of_the_job():
    wanted = {"madctl_timeout": 600.0, "madctl_start_timeout": 60.0}

    assert slurm_options.chosen(options("--timeout", "10m"), wanted) == ["--time=16"]
    assert slurm_options.chosen(options("--timeout", "10m", "--time", "1:00"), wanted) == ["--time=1:00"]


def test_words_of_slurm_are_passed_on_as_they_are():
    given = options(
        "--partition", "a,b", "--gres", "gpu:h200:8", "--exclusive", "--sbatch-args=--mem=0 --licenses='a b'"
    )

    assert slurm_options.chosen(given, {}) == [
        *("--partition=a,b", "--gres=gpu:h200:8", "--exclusive", "--mem=0", "--licenses=a b"),
    ]


@pytest.mark.parametrize(
    "words",
    ["--job-name=x", "--arr=1", "--ntasks=4", "--gpus-per-task=1", "-- x", "-p x", "x", "--a\nb", "'", "--wrap"],
)
def test_words_that_make_another_job_are_refused(words):
    with pytest.raises(UsageError) as caught:
        slurm_options.chosen(options(f"--sbatch-args={words}"), {})

    assert caught.value.problems[0].message.startswith("--sbatch-args")


@pytest.mark.parametrize("command", ["launch", "check"])
def test_options_of_a_job_need_one(command):
    with pytest.raises(UsageError, match="--qos needs --on slurm"):
        scheduler_options.refuse_foreign(cli.parsed([command, "--qos", "x", "train.py"]))
    scheduler_options.refuse_foreign(cli.parsed([command, "train.py"]))


@pytest.mark.parametrize(
    ("given", "passed"),
    [("USR1@60", "B:USR1@60"), ("b:10", "B:10"), ("R:SIGUSR2@5", "BR:SIGUSR2@5"), ("12@9", "B:12@9")],
)
def test_a_signal_for_the_ranks_goes_to_our_program_which_passes_it_on(given, passed):
    assert slurm_options.chosen(options("--signal", given), {}) == [f"--signal={passed}"]


@pytest.mark.parametrize(
    "given", ["", "TERM@60", "KILL", "9", "SIGURG@5", "USR1@", "NOSUCH@1", "USR1@60 --x", "64", "0"]
)
def test_a_signal_that_means_something_to_us_is_refused(given):
    with pytest.raises(UsageError) as caught:
        slurm_options.chosen(options(f"--signal={given}"), {})

    assert caught.value.problems[0].message.startswith("--signal takes SIG@SECONDS")


def test_words_for_the_queue_are_passed_on():
    given = options("--requeue", "--dependency", "afterok:7", "--begin", "now+1hour")

    assert slurm_options.chosen(given, {}) == ["--dependency=afterok:7", "--begin=now+1hour", "--requeue"]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("2026-12-01T14:05:00", "14:05"),
        ("2026-12-30T14:05:00", "2026-12-30 14:05"),
        ("2027-12-01T14:05:00", None),
        ("2367-03-03T00:00:00", None),
        ("2026-12-01T11:00:00", None),
        ("N/A", None),
        ("", None),
    ],
)
def test_an_estimate_is_told_unless_it_is_only_a_guess(start, told):
    now = datetime(2026, 12, 1, 12, 0).timestamp()

    assert ends.estimate(slurm.State("PENDING", "Resources", start), now) == told
    expected = "pending: Resources" + (f", may start at {told}" if told else "")
    assert ends.waiting(slurm.State("PENDING", "Resources", start), now) == expected


@pytest.mark.parametrize(("words", "port"), [([], None), (["--master-port", "29500"], "29500")])
def test_a_port_that_was_typed_is_told_from_the_default(words, port):
    wanted = launch_variables(options(*words, "--detach", "--idle-timeout", "9", "--max-restarts", "1"))

    assert wanted.get("madctl_master_port") == port
