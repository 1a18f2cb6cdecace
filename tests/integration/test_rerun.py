# SPDX-License-Identifier: Apache-2.0
"""A run is launched again from its record, several are stopped at once, and the end of a run is told: on real hosts."""

import json
import os
import subprocess

import pytest

from tests.integration.command import madctl
from tests.unit.http_answers import served

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]

TELL = "cat > $OUT/$MADCTL_RUN_STATUS; echo end of $MADCTL_RUN_NAME $MADCTL_RUN_ID; exit 3"


def test_a_run_is_launched_again_under_its_name_and_its_ends_are_told(launch, tmp_path, monkeypatch):
    for name, value in (("OUT", str(tmp_path)), ("no_proxy", "127.0.0.1")):
        monkeypatch.setenv(name, value)
    with served(lambda _: (200, b"ok")) as server:
        address = f"http://127.0.0.1:{server.server_port}/T0KEN"
        typed = ["--name", "big", "--env", "CODE=4", "--note", "first", "--notify", address, "--on-end", TELL]
        failed = launch(*typed, "--command", "--", "sh", "-c", "echo ran with $0 $CODE; exit $CODE", "a")
        refused = madctl("rerun", "big", cwd=tmp_path, env={"CODE": "0"})
        words = ["rerun", "big", "--note", "second", "--without", "notify", "--output", "json"]
        again = madctl(*words, cwd=tmp_path, env={"CODE": "0"})
        changed = madctl("rerun", "--env", "CODE=0", "--", "-c", "echo changed", cwd=tmp_path)
    listed = madctl("ps", "--output", "json").json["data"]["runs"]

    assert (failed.code, failed.codes[0]) == (6, "COMMAND_FAILED"), failed.err
    ((method, _, body),) = server.asked
    posted, told = json.loads(body), json.loads((tmp_path / "failed").read_text())
    run_id = failed.json["run_id"]
    assert method == "POST" and posted["result"] == told
    assert posted["text"].startswith(f"madctl: big ({run_id}) failed after ") and "exit code 4" in posted["text"]
    assert (told["run_id"], told["errors"]) == (run_id, failed.json["errors"])
    assert [one["code"] for one in failed.json["warnings"]][
        -1
    ] == "ON_END_FAILED" and f"end of big {run_id}" in failed.err

    assert refused.code == 2 and "--without notify [VALUE_NOT_KEPT]" in refused.err
    assert (again.code, again.json["status"]) == (0, "succeeded"), again.err
    assert again.err.count("ran with a 0") == 2 and "CODE is taken from this environment" in again.err
    assert json.loads((tmp_path / "succeeded").read_text())["run_id"] != run_id
    assert changed.code == 0 and changed.out.count("changed") == 2, changed.err
    assert [(one["name"], one["note"]) for one in listed] == [("big", "second"), ("big", "second"), ("big", "first")]
    kept = subprocess.run(["grep", "-rlE", "T0KEN|CODE=", os.environ["XDG_STATE_HOME"]], capture_output=True, text=True)
    assert kept.stdout == "" and "T0KEN" not in failed.err + failed.out + refused.err


def test_several_runs_are_stopped_at_once_and_the_rest_with_all(launch):
    started = {}
    for host, name in (("node1", "one"), ("node2", "two"), ("node3", "three")):
        done = launch("--detach", "--name", name, "--command", "--", "sleep", "300", hosts=host)
        assert done.code == 0, done.err
        started[name] = done.json["run_id"]
    again = madctl("rerun", "one")
    two = madctl("stop", "one", "nosuch", "two")
    asks = madctl("stop", "--all")
    rest = madctl("stop", "--all", "--yes", "--force", "--output", "json")
    none = madctl("stop", "--all", "--yes")

    assert again.code == 2 and f"stop it: madctl stop {started['one']}" in again.err and "[NAME_IN_USE]" in again.err
    assert two.code == 2 and "nosuch" in two.err
    assert two.out.splitlines() == [
        f"run {started['one']}: nothing is left on node1",
        f"run {started['two']}: nothing is left on node2",
        "stopped 2 of 3 runs",
    ]
    assert asks.code == 2 and "add --yes" in asks.err
    (only,) = rest.json["data"]["results"]
    assert (rest.code, only["run_id"], only["data"]["stopped"]) == (0, started["three"], ["node3"])
    assert only["data"]["run"]["status"] == "stopped"
    assert (none.code, none.out) == (0, "no run is running\n")
