# SPDX-License-Identifier: Apache-2.0
"""The state of a run on a node, as it is found out once a second; a living one: ``_supervise/test_sampler.py``."""

import json
import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import processes
from ansible_collections.madctl.multinode.plugins.module_utils._runs import measuring
from tests.unit.module_utils import measured

ARMED = {"event": "armed", "seq": 1, "boot_id": "b", "pid": os.getpid()}
STARTED = {"event": "started", "seq": 2, "pid": os.getpid(), "time": 5.0}
EXIT = {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": False}


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Write files of a run, and ask for it; the supervisor is alive if a test says so."""

    def ask(*events, record=None, is_alive=True, kept=()):
        run_dir = tmp_path / "r"
        run_dir.mkdir()
        (run_dir / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        if record:
            (run_dir / "exit.json").write_text(json.dumps(record))
        if kept:
            (run_dir / "samples.json").write_text(json.dumps({"interval_seconds": 10.0, "samples": list(kept)}))
        monkeypatch.setattr(processes, "supervised", lambda _: "r" if is_alive else None)
        return measuring.measure({"run_id": "r", "run_dir": str(run_dir), "asks_gpus": False})

    return ask


STATES = {
    "armed": ([ARMED], {}, "armed"),
    "running": ([ARMED, STARTED], {}, "running"),
    "killed": ([ARMED, STARTED], {"is_alive": False}, "lost"),
    "ended": ([ARMED, STARTED], {"record": EXIT}, "exited"),
    "ended, and its supervisor has not gone yet": ([ARMED, STARTED], {"record": EXIT, "is_alive": True}, "exited"),
    "without events": ([], {}, "lost"),
    "of a job that writes": ([{**ARMED, "pid": "x"}, STARTED], {}, "lost"),
    "a record that no supervisor wrote": ([ARMED, STARTED], {"record": {"outcome": 5}}, "running"),
}


@pytest.mark.parametrize(("events", "more", "state"), STATES.values(), ids=STATES)
def test_how_it_stands(events, more, state, asked):
    found = asked(*events, **more)

    assert found["state"] == state
    assert (found["measured"] is not None) is (state == "running")


def test_a_run_that_is_not_here(tmp_path):
    request = {"run_id": "r", "run_dir": str(tmp_path / "none"), "asks_gpus": True}

    assert measuring.measure(request) == {"state": "unknown", "measured": None, "kept": None}


def test_the_newest_sample_is_what_is_left_of_it(asked):
    kept = [measured.sample(time=5.0), measured.sample(time=15.0)]

    assert asked(ARMED, STARTED, record=EXIT, kept=kept)["kept"] == kept[1]
