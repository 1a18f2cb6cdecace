# SPDX-License-Identifier: Apache-2.0
"""What is called on a login node: submitted once, ended, and its state; with programs that only pretend."""

import json
import shlex
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import node_answers, wire
from ansible_collections.madctl.multinode.plugins.module_utils._submit import on_login

FILES = {"madctl_job.py": "pass\n", "modules/x.py": "pass\n"}
RUN = "20261201-000000-00000001"
PENDING, RUNNING, GONE = ("PENDING|Resources\n",), ("RUNNING|None\n",), ("", "Invalid job id specified\n", 1)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put programs on the path that answer, and write down that they were called."""
    place = tmp_path / "programs"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def answers(name, out="", err="", code=0):
        text = f"#!/bin/sh\necho {name} \"$@\" >> {place}/called\nprintf '%b' {shlex.quote(out)}\n"
        text += f"printf '%b' {shlex.quote(err)} >&2; exit {code}\n"
        (place / name).write_text(text)
        (place / name).chmod(0o755)

    def called(name=""):
        path = place / "called"
        return [line for line in path.read_text().splitlines() if line.startswith(name)] if path.exists() else []

    answers.called = called
    answers("sbatch", "7\n")
    answers("squeue", *PENDING)
    answers("scancel")
    return answers


@pytest.fixture
def submit(tmp_path):
    def submit(**more):
        arguments = {"work": ["x"], "env": {"TOKEN": "hunter2"}}
        about = {"base": str(tmp_path / "runs"), "run_id": RUN, "nodes": 2, "chosen": ["--qos=x"], "conf": ""}
        request = {**about, "arguments": arguments, "dry_run": False, "programs": "job-bin-1", "files": None, **more}
        answer = on_login.submit_job(request)
        assert node_answers.checked("submit_job", answer) == answer
        return answer

    return submit


def asked(tmp_path, function=on_login.end_job, **more):
    request = {"base": str(tmp_path / "runs"), "run_id": RUN, "conf": "", "grace": 0.0, "dry_run": False}
    answer = function({**request, "remove": False, **more})
    assert node_answers.checked(function.__name__, answer) == answer
    return answer


def test_programs_are_sent_only_where_they_are_not_there(submit, slurm, tmp_path):
    assert submit()["wants_files"] and slurm.called() == []
    answer = submit(files=on_login.packed(FILES))

    assert (answer["changed"], answer["job_id"], answer["problem"]) == (True, "7", None)
    assert (tmp_path / "runs/job-bin-1/modules/x.py").read_text() == "pass\n"
    other = submit(run_id="20261201-000000-00000002")
    assert other["changed"] and not other["wants_files"]


def test_a_secret_is_in_the_request_alone(submit, slurm, tmp_path):
    answer = submit(files=on_login.packed(FILES))
    place = tmp_path / "runs" / RUN

    assert [path.name for path in place.iterdir() if "hunter2" in path.read_text(errors="replace")] == ["request.json"]
    assert (place / "request.json").stat().st_mode & 0o777 == 0o600
    assert "hunter2" not in json.dumps(answer) + "".join(slurm.called())


def test_a_run_is_submitted_once(submit, slurm):
    submit(files=on_login.packed(FILES))
    again = submit()

    assert (again["changed"], again["job_id"]) == (False, "7")
    assert len(slurm.called("sbatch")) == 1


@pytest.mark.parametrize(("known", "job_id", "times"), [("8\n", "8", 1), ("", "7", 2)])
def test_a_job_whose_submitter_was_killed_is_found_by_its_name_or_submitted_again(
    submit, slurm, tmp_path, known, job_id, times
):
    submit(files=on_login.packed(FILES))
    (tmp_path / "runs" / RUN / "submit.json").write_text(json.dumps({"run_id": RUN, "state": "submitting"}))
    slurm("squeue", known)

    assert submit()["job_id"] == job_id
    assert len(slurm.called("sbatch")) == times


def test_what_slurm_refuses_leaves_no_directory(submit, slurm, tmp_path):
    slurm("sbatch", "", "sbatch: error: Batch job submission failed: Invalid partition name specified\n", 1)
    answer = submit(files=on_login.packed(FILES))

    assert answer["problem"]["code"] == "SCHEDULER_REFUSED" and not answer["changed"]
    assert not (tmp_path / "runs" / RUN).exists()


def test_a_dry_run_writes_nothing(submit, slurm, tmp_path):
    slurm("sbatch", "", "sbatch: Job 8 to start at noon\n")
    answer = submit(dry_run=True)

    assert (answer["said"], answer["job_id"]) == (["Job 8 to start at noon"], None)
    assert answer["argv"][0] == "sbatch" and "job-bin-1" in answer["script"]
    assert not (tmp_path / "runs").exists() and "--test-only" in slurm.called("sbatch")[0]


@pytest.mark.parametrize("name", ["a b", "100%", "a\\b"])
def test_a_path_that_slurm_takes_for_something_else_is_refused(submit, name):
    assert submit(run_id=name)["problem"]["code"] == "USAGE"


def test_without_sbatch_it_is_said(submit, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(on_login, "PLACES", ())

    assert submit()["problem"]["code"] == "SCHEDULER_MISSING"


def test_slurm_is_found_where_sites_install_it(submit, slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(on_login, "PLACES", (str(tmp_path / "none"), str(tmp_path / "programs")))

    assert submit(files=on_login.packed(FILES))["job_id"] == "7"


# -- end and look ----------------------------------------------------------------------------------


def begun(tmp_path, **result):
    place = tmp_path / "runs" / RUN
    (place / "story").write_bytes(wire.encode({"event": "planned", "plan": None}))
    node = {"state": "running", "exit": None, "joined": 1}
    (place / "state.json").write_text(json.dumps({"stage": "running", "time": time.time(), "nodes": {"a": node}}))
    if result:
        (place / "result.json").write_text(json.dumps({"problems": [], "exit_code": 0, **result}))


def test_a_job_that_waits_is_cancelled(submit, slurm, tmp_path):
    submit(files=on_login.packed(FILES))
    slurm("scancel")
    text = (tmp_path / "programs/scancel").read_text()
    gone = f"printf '#!/bin/sh\\necho \"CANCELLED|None\"\\n' > {tmp_path}/programs/squeue\n"
    (tmp_path / "programs/scancel").write_text(text.replace("printf", gone + "printf", 1))
    answer = asked(tmp_path)

    assert (answer["changed"], answer["had_begun"], answer["problem"]) == (True, False, None)
    assert slurm.called("scancel") == ["scancel 7"]
    assert asked(tmp_path)["changed"] is False


def test_a_run_that_is_over_is_left_as_it_is_and_absent_removes_it(submit, slurm, tmp_path):
    submit(files=on_login.packed(FILES))
    begun(tmp_path, ended=5.0)
    slurm("squeue", *GONE)

    assert asked(tmp_path)["changed"] is False and slurm.called("scancel") == []
    assert asked(tmp_path, remove=True)["changed"] is True
    assert not (tmp_path / "runs" / RUN).exists()
    assert asked(tmp_path, remove=True) == {"changed": False, "problem": None}
    assert asked(tmp_path)["problem"]["code"] == "RUN_UNKNOWN"


def test_a_job_that_ended_without_a_record_is_not_taken_for_an_orderly_end(submit, slurm, tmp_path):
    submit(files=on_login.packed(FILES))
    begun(tmp_path)
    slurm("squeue", *GONE)

    assert asked(tmp_path)["problem"]["code"] == "STOP_UNVERIFIED"


@pytest.mark.parametrize(
    ("state", "result", "squeue", "found"),
    [
        (False, None, PENDING, ("queued", "Resources", None)),
        (False, None, GONE, ("failed", "job 7 has written nothing, and Slurm no longer knows it", 5)),
        (True, None, GONE, ("running", None, None)),
        (True, {"ended": 5.0}, GONE, ("succeeded", None, 0)),
        (True, {"problems": [{"code": "RUN_STOPPED", "host": None, "message": "x", "remedy": None}]}, GONE, 130),
        (True, {"by_scheduler": True}, ("TIMEOUT|None\n",), ("failed", "the time limit of the job was reached", 8)),
    ],
)
def test_how_a_run_stands(submit, slurm, tmp_path, state, result, squeue, found):
    submit(files=on_login.packed(FILES))
    if state:
        begun(tmp_path, **(result or {}))
    slurm("squeue", *squeue)
    answer = asked(tmp_path, on_login.look_at_job, run_id=None)

    expected = ("stopped", None, found) if found == 130 else found
    assert (answer["status"], answer["cause"], answer["exit_code"]) == expected
    assert answer["run_id"] == RUN and (list(answer["nodes"]) == ["a"]) == state
