# SPDX-License-Identifier: Apache-2.0
"""Output of jobs, however much, whatever is in it, and however slowly it is read, on real hosts."""

import json
import os
import signal
import subprocess
from datetime import datetime, timedelta

import pytest

from tests.integration.command import JOBS, MADCTL, madctl, wait_for
from tests.integration.launchers import launching
from tests.integration.run_answers import states

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]


def test_a_flood_neither_blocks_the_job_nor_is_kept_beyond_the_cap(launch, on):
    done = launch("--log-cap", "64M", "--", "flood.py", str(256 << 20), timeout=300)

    assert done.code == 0, done.err[-2000:]
    run_dir = done.json["data"]["nodes"][0]["run_dir"]
    sizes = on("node1", "sh", "-c", f"cat {run_dir}/logs/rank-0.out* | wc -c").split()
    assert (48 << 20) < int(sizes[0]) < (66 << 20)
    last = on("node1", "sh", "-c", f"tail -qc 8 $(ls -v {run_dir}/logs/rank-0.out.[0-9]* | tail -1)")
    assert last == "the end\n"
    assert on("node1", "cat", f"{run_dir}/exit.json").count('"bytes_lost": 0') == 1


def test_no_byte_harms_the_terminal_and_files_keep_all(launch, on):
    done = launch("--", "bytes.py", timeout=300)

    assert done.code == 0, done.err[-2000:]
    assert "\x1b" not in done.err
    assert "\0" not in done.err
    run_dir = done.json["data"]["nodes"][0]["run_dir"]
    size = on("node1", "sh", "-c", f"wc -c < {run_dir}/logs/rank-0.out")
    assert int(size) == 50_000_001 + len(b"nul \x00 end\n\xff\xfe invalid\n\x1b[2J\x1b[31mred\n10%\r50%\r100%\n")


# Fills the disk under its own logs, then prints 64 MB.
FILL = "fallocate -l 1097M $MADCTL_RUN_DIR/filler; head -c 67108864 /dev/zero | tr '\\0' x; rm $MADCTL_RUN_DIR/filler"


def test_a_full_disk_costs_lines_and_neither_the_job_nor_its_record(launch, on):
    on("node1", "sh", "-c", "mkdir -p /mnt/small && mount -t tmpfs -o size=1100m tmpfs /mnt/small")
    try:
        done = launch("--run-dir", "/mnt/small", "--command", "--", "sh", "-c", FILL, hosts="node1")
        record = json.loads(on("node1", "sh", "-c", "cat /mnt/small/*/exit.json"))
    finally:
        on("node1", "umount", "/mnt/small")

    assert done.code == 0, done.err[-2000:]
    assert "node1: the disk is full" in done.err
    assert record["exit_code"] == 0
    assert 50 << 20 < record["bytes_lost"] < 64 << 20


# -- readers ---------------------------------------------------------------------------------------


def test_a_reader_that_leaves_early_changes_neither_the_run_nor_its_code(lab):
    words = [str(MADCTL), *launching(lab, "node1,node2"), "--", "count.py", "3"]
    process = subprocess.Popen(words, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()

    assert process.wait(180) == 0, said
    assert "2 of 2 ranks joined" in said


def test_a_screen_that_takes_nothing_does_not_delay_the_stop(lab):
    """A pager waits at its first page while a rank fails."""
    words = [str(MADCTL), *launching(lab, "node1,node2"), "--", "flood.py", str(256 << 20)]
    process = subprocess.Popen(words, cwd=JOBS, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    run_id = madctl("ps", "--output", "json").json["data"]["runs"][0]["run_id"]
    wait_for(lambda: set(states(run_id).values()) == {"exited"}, 300)
    output = process.stdout.read()
    said = process.stderr.read().decode()

    assert process.wait(180) == 0, said
    assert b"not shown; see the log on the node" in output


@pytest.fixture(scope="module")
def ended_run(lab, tmp_path_factory):
    """A run that ended and left more than any buffer on the way holds, and where it is remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        words = ["--detach", "--output", "json", "--", "flood.py", str(100 << 20)]
        run_id = madctl(*launching(lab, "node1,node2"), *words).json["run_id"]
        wait_for(lambda: set(states(run_id).values()) == {"exited"}, 300)
        return run_id, os.environ["XDG_STATE_HOME"]


@pytest.fixture
def long_log(ended_run, monkeypatch):
    """Remember that run; its log is read, and stays as it is."""
    monkeypatch.setenv("XDG_STATE_HOME", ended_run[1])
    return ended_run[0]


def test_logs_end_with_their_reader(long_log):
    process = subprocess.Popen([str(MADCTL), "logs", long_log], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()

    assert process.wait(180) == 0, process.stderr.read()


def test_who_is_attached_to_a_stopped_screen_can_still_leave(long_log):
    process = subprocess.Popen([str(MADCTL), "attach", long_log], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(1)
    process.send_signal(signal.SIGTERM)

    assert process.wait(180) == 143, process.stderr.read()
    process.stdout.close()


def test_every_byte_of_a_long_log_reaches_a_slow_reader(long_log):
    process = subprocess.Popen([str(MADCTL), "attach", long_log], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = 0
    for line in process.stdout:
        lines += b"\xe2\x94\x82 xxxx" in line

    assert (process.wait(180), lines) == (0, (100 << 20) // 1024)


# -- some of the output ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four_ranks(lab, tmp_path_factory):
    """A launch of four ranks that was asked for the output of two, and where it is remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        shown = ["--nproc-per-node", "2", "--rank", "1-2", "--host", "node[1-2]"]
        return madctl(*launching(lab, "node1,node2"), *shown, "--", "count.py", "2"), os.environ["XDG_STATE_HOME"]


@pytest.fixture
def chosen(four_ranks, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", four_ranks[1])
    return four_ranks[0]


def sources(out):
    return {line.partition(" ")[0] for line in out.splitlines()}


def test_only_chosen_ranks_are_shown_and_the_summary_speaks_of_all(chosen):
    attached = madctl("attach", "--rank", "3")

    assert (chosen.code, sources(chosen.out)) == (0, {"node1:1", "node2:2"}), chosen.err
    assert "4 of 4 ranks joined" in chosen.err
    assert (attached.code, sources(attached.out)) == (0, {"node2:3"})
    assert "4 of 4 ranks joined" in attached.err


def test_logs_of_all_nodes_are_one_stream_in_the_order_of_time(chosen):
    words = ("logs", "--merge", "--output", "jsonl")
    found = madctl(*words, "--rank", "0-3").lines
    last = madctl(*words, "-n", "5", "--rank", "0-3").lines
    times = [line["time"] for line in found]

    assert times == sorted(times) and len(set(times)) > 1
    assert {(line["host"], line["rank"]) for line in found} == {("node1", 0), ("node1", 1), ("node2", 2), ("node2", 3)}
    for rank in range(4):
        own = [line["text"].split()[2] for line in found if line["rank"] == rank and line["stream"] == "stdout"]
        assert own == [str(number) for number in range(1, len(own) + 1)]
    # When a line was printed is known by the piece that it came in, and another beginning makes other pieces.
    assert len(last) == 5 and not [line for line in last if line["text"] not in [one["text"] for one in found[-40:]]]


def test_the_last_lines_and_the_lines_since_a_second_are_read(chosen):
    whole = madctl("logs", "--rank", "2", "--output", "jsonl").lines
    since = whole[-1]["time"]
    words = ("logs", "--rank", "2", "--output", "jsonl", "--since", since)
    later = madctl(*words).lines
    last = madctl("logs", "--rank", "[2]", "-n", "1", "--timestamps").out.splitlines()

    assert later == whole[-len(later) :] and later[-1]["time"] == since
    # Where the clock of the node is a little behind, the second of the moment began a second earlier here.
    begun = datetime.fromisoformat(since) - timedelta(seconds=1)
    assert {line["time"] for line in whole if line["time"] >= since} <= {line["time"] for line in later}
    assert min(datetime.fromisoformat(line["time"]) for line in later) >= begun
    assert [line.split(" ", 1)[0] for line in last] == [since[:19]]
    assert last[0].endswith("│ " + whole[-1]["text"])


def test_a_choice_that_shows_nothing_says_what_there_is(chosen, lab):
    refusals = {
        ("--rank", "4"): "the run has no rank 4; there are ranks 0-3 on node[1-2] [USAGE]",
        ("--rank", "0", "--host", "node2"): "rank 0 is not on node2; there are ranks 2-3 on node2 [USAGE]",
        ("--host", "node9"): "the run has no node 'node9'; did you mean node2? [RUN_HOST_UNKNOWN]",
    }
    for words, said in refusals.items():
        for command in ("logs", "attach"):
            done = madctl(command, *words)
            assert (done.code, done.err) == (2, f"madctl: {said}\n")


def test_a_launch_that_would_show_nothing_does_not_start(launch, on):
    beyond = launch("--rank", "7", "--", "count.py", "1")
    without = launch("--rank", "0", "--command", "--", "true")
    nowhere = madctl("launch", "--host", "node1", "--command", "--", "true")

    assert (beyond.code, beyond.codes) == (2, ["USAGE"])
    assert "the run has no rank 7; there are ranks 0-1 on node[1-2]" in beyond.err
    assert (without.code, "the command has no ranks" in without.err) == (2, True)
    assert (nowhere.code, "did you mean --hosts node1?" in nowhere.err) == (2, True)
    assert "go " not in beyond.err + without.err + nowhere.err


def test_a_log_that_is_empty_so_far_is_told(lab):
    run_id = madctl(
        *launching(lab, "node1,node2"), "--detach", "--output", "json", "--command", "--", "sleep", "600"
    ).json["run_id"]
    silent = madctl("logs", run_id, "--host", "node2")
    stopped = madctl("stop", run_id)

    assert (silent.code, silent.out, silent.err) == (0, "", "notice  node2 has printed nothing yet\n")
    assert stopped.code == 0
