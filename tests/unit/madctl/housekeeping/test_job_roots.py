# SPDX-License-Identifier: Apache-2.0
"""Directories of runs in jobs: which go, which stay and why, and programs that none of them uses."""

import dataclasses
import os
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import job_directory
from madctl.errors import ExitCode, Problem, RunError
from madctl.housekeeping import job_roots
from madctl.jobs import slurm
from madctl.nodes import inventory
from madctl.nodes.inventory import Targets
from madctl.records import record_store

RUN = "20261101-120000-0000000"
PLAN = {"shape": "command", "nnodes": 1, "world_size": 0, "nodes": []}
pytestmark = pytest.mark.usefixtures("own_records")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "runs"


@pytest.fixture
def squeue(monkeypatch):
    """What Slurm knows: states by run, or an error."""
    known = {}

    def answer(conf):
        del conf
        if "error" in known:
            raise RunError(ExitCode.UNREACHABLE, Problem("SCHEDULER_UNREACHABLE", "it is away"))
        return known

    monkeypatch.setattr(slurm, "own_runs", answer)
    return known


def run(root, number, days=10.0, has_result=True, programs="job-bin-1"):
    """Make the directory of a run, and its record."""
    run_id = f"{RUN}{number}"
    place = root / run_id
    place.mkdir(parents=True)
    (root / programs).mkdir(exist_ok=True)
    names = [job_directory.KEY, job_directory.STORY, *([job_directory.RESULT] if has_result else [])]
    for name in names:
        (place / name).write_text("{}")
    (place / job_directory.SCRIPT).write_text(f"exec python3 {root}/{programs}/madctl_job.py\n")
    age(place, days)
    created = record_store.create({**PLAN, "run_id": run_id}, Targets((), inventory.of_group({}, {})), [])
    job = {"on": "slurm", "id": "7", "place": str(place), "conf": ""}
    record = dataclasses.replace(created, job=job, created=time.time() - days * 86400)
    record_store.save(record)
    return run_id


def age(path, days):
    then = time.time() - days * 86400
    for one in [*path.rglob("*"), path]:
        os.utime(one, (then, then))


def cleaned(days=7.0, dry_run=False):
    found = job_roots.JobRoots(record_store.known()[0], days, dry_run)
    found.clean()
    return found


def kept(found):
    return {entry["run_id"][-1]: entry["why"] for root in found.roots for entry in root.kept}


def test_runs_that_ended_long_ago_go_and_others_stay_and_say_why(root, squeue):
    old, *_ = [run(root, 1), run(root, 2, days=5), run(root, 3), run(root, 4), run(root, 5, 0.01, has_result=False)]
    squeue.update({f"{RUN}3": slurm.State("PENDING"), f"{RUN}4": slurm.State("COMPLETED"), old: slurm.FORGOTTEN})
    found = cleaned()

    assert kept(found) == {"2": "younger than 7 days", "3": "pending in Slurm", "5": "younger than 7 days"}
    assert sorted(path.name[-1] for path in root.iterdir() if path.name.startswith(RUN)) == ["2", "3", "5"]
    assert [record.run_id[-1] for record in found.over()] == ["1", "4"]
    assert (
        found.lines()[0].startswith(f"{root}: 2 runs, ") and "3 runs kept: 1 pending in Slurm" in found.kept_lines()[0]
    )
    assert kept(cleaned(0.0))["5"] == "without a result, and younger than an hour"


def test_where_slurm_cannot_be_asked_all_stay(root, squeue):
    run(root, 1)
    squeue["error"] = True
    found = cleaned()

    assert kept(found) == {"1": "Slurm does not answer"} and (root / f"{RUN}1").is_dir()
    assert [notice.code for notice in found.notices] == ["SCHEDULER_UNREACHABLE"] and found.over() == []


def test_a_cluster_whose_configuration_is_gone_runs_nothing(root, squeue, tmp_path):
    record = record_store.load(run(root, 1))
    record_store.save(dataclasses.replace(record, job={**record.job, "conf": str(tmp_path / "gone.conf")}))
    squeue["error"] = True

    assert len(cleaned().over()) == 1


def test_a_dry_run_removes_nothing(root, squeue):
    run(root, 1)
    before = sorted(root.rglob("*"))
    found = cleaned(dry_run=True)

    assert sorted(root.rglob("*")) == before and len(found.over()) == 1
    assert found.lines()[0].startswith(f"{root}: would remove 1 run, ") and f"{RUN}1" in found.lines()[1]


def test_programs_go_when_no_run_is_left_that_uses_them_and_nothing_began_to(root, squeue):
    for number, programs in ((1, "job-bin-1"), (2, "job-bin-2"), (3, "job-bin-3")):
        run(root, number, days=1 if number == 2 else 10, programs=programs)
        age(root / programs, 10 if number != 3 else 0.01)

    for dry_run in (True, False):
        assert [entry["name"] for entry in cleaned(dry_run=dry_run).roots[0].programs] == ["job-bin-1"]
    assert sorted(path.name for path in root.glob("job-bin-*")) == ["job-bin-2", "job-bin-3"]


def test_what_is_no_run_is_left_alone_and_what_was_interrupted_is_not(root, squeue):
    run(root, 1)
    for name in ("data", f"{RUN}9", "job-bin-x", ".madctl-gone-5-x", ".job-bin-1.5.6"):
        (root / name).mkdir()
        age(root / name, 10)
    cleaned()

    assert {path.name for path in root.iterdir()} == {"data", f"{RUN}9", "job-bin-x", "job-bin-1"}


def test_a_record_of_files_that_are_gone_goes_when_it_is_old(root, squeue):
    for number, days in ((1, 10), (2, 1)):
        place = root / run(root, number, days)
        for path in place.iterdir():
            path.unlink()
        place.rmdir()

    assert [record.run_id[-1] for record in cleaned().over()] == ["1"]
