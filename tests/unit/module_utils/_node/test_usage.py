# SPDX-License-Identifier: Apache-2.0
"""What a node and the ranks of a run use, from trees that look like the kernel's, and from real processes."""

import json
import os
import subprocess
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import usage

TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


def write(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def process(root, pid, parent, ticks=(0, 0, 0, 0), pages=100, shared=0, name="python3"):
    times = " ".join(map(str, ticks))
    stat = f"{pid} ({name}) S {parent} 1 1 0 -1 4194304 9 0 0 0 {times} 20 0 1 0 1000 5000000 {pages} 99 1 1 0\n"
    write(root / "proc", {f"{pid}/stat": stat, f"{pid}/statm": f"5000 {pages} {shared} 1 0 9 0\n"})


@pytest.fixture
def tree(tmp_path):
    """
    A runner with two ranks; the first has a loader, and in that a process whose name tries to deceive.

    A process of another user is beside them, and a directory of one that has just ended.
    """
    process(tmp_path, 100, 1)
    process(tmp_path, 200, 100, (100, 50, 25, 25), pages=1000, shared=400)
    process(tmp_path, 201, 200, (300, 0, 0, 0), pages=500, shared=300)
    process(tmp_path, 202, 201, (0, 100, 0, 0), pages=50, name="x) S 1 1 (")
    process(tmp_path, 300, 100, (7, 0, 0, 0), pages=9)
    process(tmp_path, 900, 1, (10**6, 0, 0, 0))
    (tmp_path / "proc/901").mkdir()
    return tmp_path


def test_each_rank_has_its_own_processes(tree):
    proc = str(tree / "proc")
    known = usage.processes(proc)
    families = usage.families(known, [200, 300, 555])

    assert families == {200: {200, 201, 202}, 300: {300}, 555: set()}
    assert usage.families(known, [100]) == {100: {100, 200, 201, 202, 300}}
    assert usage.families(known, [100, 200]) == {100: {100, 300}, 200: {200, 201, 202}}
    assert usage.spent(known, families[200], proc) == {
        "cpu_seconds": 600 / TICK,
        # Their own memory, and what they share once.
        "memory_bytes": (600 + 200 + 50 + 400) * PAGE,
        "processes": 3,
    }
    assert usage.spent(known, set(), proc) == {"cpu_seconds": 0, "memory_bytes": 0, "processes": 0}


def test_processes_that_are_each_other_s_children_are_no_endless_loop(tmp_path):
    process(tmp_path, 5, 6)
    process(tmp_path, 6, 5)

    assert usage.families(usage.processes(str(tmp_path / "proc")), [5]) == {5: {5, 6}}


def test_a_real_process_that_computes():
    script = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
        busy.stdout.readline()
        known = usage.processes()
        found = usage.spent(known, {busy.pid})
        busy.communicate(b"\n")

    assert 0.15 <= found["cpu_seconds"] < 5
    assert 1 * MIB < found["memory_bytes"] < 500 * MIB
    assert known[busy.pid].parent == os.getpid()
    assert 0 <= known[busy.pid].age < 60


def test_the_processors_of_a_node(tmp_path):
    write(tmp_path, {"stat": "cpu  100 10 20 800 60 5 5 0 7 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n"})

    assert usage.cpu(str(tmp_path)) == {"busy": 140, "total": 1000, "cores": 2}
    assert usage.cpu(str(tmp_path / "none")) == {"busy": 0, "total": 0, "cores": 1}


MEMINFO = {"proc/meminfo": "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 300 kB\nHugePages_Total: 0\n"}
KIB = 1024


def test_the_memory_of_a_node(tmp_path):
    write(tmp_path, MEMINFO)

    assert usage.memory(5, str(tmp_path)) == {"used": 700 * KIB, "total": 1000 * KIB}
    assert usage.memory(5, str(tmp_path / "none")) == {"used": 0, "total": 0}


GROUPS = {
    "version 2, a limit above it": (
        "0::/slurm/job_5/step_0\n",
        {
            "slurm/job_5/memory.max": f"{400 * KIB}\n",
            "slurm/job_5/memory.current": f"{150 * KIB}\n",
            "slurm/job_5/memory.stat": f"anon 5\ninactive_file {50 * KIB}\n",
            "slurm/job_5/step_0/memory.max": "max\n",
            "slurm/job_5/step_0/memory.current": "5\n",
        },
        (100 * KIB, 400 * KIB),
    ),
    "the tightest of two": (
        "0::/a/b\n",
        {
            "a/memory.max": f"{500 * KIB}",
            "a/memory.current": f"{490 * KIB}",
            "a/b/memory.max": f"{100 * KIB}",
            "a/b/memory.current": f"{5 * KIB}",
        },
        (490 * KIB, 500 * KIB),
    ),
    "version 1": (
        "4:cpu,cpuacct:/x\n9:memory:/job\n",
        {
            "memory/job/memory.limit_in_bytes": f"{300 * KIB}\n",
            "memory/job/memory.usage_in_bytes": f"{200 * KIB}\n",
            "memory/job/memory.stat": f"cache 9\ntotal_inactive_file {20 * KIB}\n",
        },
        (180 * KIB, 300 * KIB),
    ),
    "version 1 without a limit": (
        "9:memory:/job\n",
        {"memory/job/memory.limit_in_bytes": "9223372036854771712\n", "memory/job/memory.usage_in_bytes": "5\n"},
        (700 * KIB, 1000 * KIB),
    ),
    "a path that leads out": ("0::/../../etc\n", {}, (700 * KIB, 1000 * KIB)),
    "nothing that is one": ("x\n\n::\n", {}, (700 * KIB, 1000 * KIB)),
}


@pytest.mark.parametrize(("text", "files", "expected"), GROUPS.values(), ids=GROUPS)
def test_a_limit_of_memory_counts_where_there_is_one(text, files, expected, tmp_path):
    write(tmp_path, {**MEMINFO, "proc/5/cgroup": text})
    write(tmp_path / "sys/fs/cgroup", files)

    assert usage.memory(5, str(tmp_path)) == dict(zip(("used", "total"), expected, strict=True))


def line(event, seq=1, **more):
    return json.dumps({"event": event, "seq": seq, **more})


def test_the_ranks_of_a_run_are_those_that_have_joined(tmp_path):
    lines = [
        line("armed", boot_id="b", pid=5),
        line("started", pid=100, time=50.5),
        line("joined", rank=3, pid=200, argv0="x"),
        line("joined", rank=4, pid=300),
        line("joined", rank=None, pid=400),
        line("joined", rank="5", pid=400),
        line("joined", rank=6, pid=-1),
        "{" + line("joined", rank=7, pid=500),
        line("rank_exit", rank=4, exit_code=0, signal=None),
        line("rank_exit", rank=9, exit_code=0, signal=None),
        '{"event": "joined", "seq": 9, "rank": 8, "p',
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))

    assert usage.job(str(tmp_path)) == usage.Job([100], 50.5, {3: usage.Rank(200), 4: usage.Rank(300, True)})
    assert usage.job(str(tmp_path / "none")) == usage.Job([], None, {})


def test_no_more_ranks_than_have_a_place_on_a_screen(tmp_path):
    lines = [line("joined", rank=rank, pid=5) for rank in range(usage.MOST_RANKS + 5)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))

    assert len(usage.job(str(tmp_path)).ranks) == usage.MOST_RANKS


def test_how_old_the_last_output_is(tmp_path):
    logs = tmp_path / "logs"
    ages = {"rank-0.out": 50, "rank-0.err": 30, "rank-1.out": 90, "rank-1.out.4096": 7, "rank-1.out.times": 1}
    write(logs, dict.fromkeys(ages, "x"))
    write(logs, {"rank-2.out": "", "junk": "x"})
    now = time.time()
    for name, age in ages.items():
        os.utime(logs / name, (now - age, now - age))
    (logs / "rank-3.out").symlink_to("/etc/passwd")
    found = usage.written(str(tmp_path))

    assert set(found) == {"rank-0.out", "rank-0.err", "rank-1.out"}
    assert usage.age(found, ["rank-0.out", "rank-0.err"], now) == 30.0
    assert usage.age(found, ["rank-1.out", "rank-1.err"], now) == 7.0
    assert usage.age(found, ["rank-2.out"], now) is None
    assert usage.age({"a": now + 50}, ["a"], now) == 0.0, "of a file server whose clock is ahead"
