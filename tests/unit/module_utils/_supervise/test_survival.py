# SPDX-License-Identifier: Apache-2.0
"""What a supervisor survives: jobs that become root, fork endlessly, or use up descriptors, and errors of its own."""

import json
import os
import resource
import signal
import socket
import sys
import time

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import node_lock, processes, procfs
from ansible_collections.madctl.multinode.plugins.module_utils._runs import run_end, run_state
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import rank_wrapper
from tests.unit.module_utils.agent_by_hand import until
from tests.unit.module_utils.real_supervisor import start

pytestmark = pytest.mark.slow

SOON = [("_supervise/supervisor", "SWEEP_TERM_SECONDS = 3.0", "SWEEP_TERM_SECONDS = 0.3")]
# For what cannot be killed; on a busy machine, all else may take longer to end.
SHORT = [*SOON, ("_supervise/final_sweep", "KILL_SECONDS = 10.0", "KILL_SECONDS = 0.5")]
RANK = rank_wrapper.__file__


def deny(error):
    """Refuse signals to all but our own helpers, as the kernel does where a process became root."""
    refuse = f"def refuse(*_): raise {error}(1, 'refused')\nos.killpg = os.kill = refuse\n"
    handle = "signal.pidfd_send_signal = refuse\n"
    return [("_node/processes", "_LOOKS = 10", refuse + handle + "_LOOKS = 10")]


def is_asleep(pid):
    return processes.stat(pid)[0] == "S"


@pytest.mark.parametrize("error", ["PermissionError", "ProcessLookupError"])
def test_a_process_that_may_not_be_signalled_is_named_and_the_supervisor_survives(arm, tmp_path, error):
    run = arm("sleep", "60", broken=[*SHORT, *deny(error)], grace=0.3)
    channel = start(run)
    until(lambda: any(map(is_asleep, processes.find(run.run_id)[1])))
    channel.send(b"s")
    frames = run.follow(channel)
    [left] = run.record["left_behind"]
    pid = int(left.split()[0])
    try:
        # Later questions are answered the same way as long as it lives.
        assert run_end.left(run.run_id, str(tmp_path)) == [pid]
        assert "(sleep, state S" in left
        assert run_state.look({"run_id": run.run_id, "run_dir": str(run.run_dir)})["processes"] == 1
    finally:
        os.kill(pid, signal.SIGKILL)
    record = run.record

    assert frames[-1][0]["left_behind"] == [left]
    assert (record["outcome"], record["stopped"], record["exit_code"], record["signal"]) == ("exited", True, None, None)
    assert (run.run_dir / "supervisor.log").read_text() == ""


def test_a_process_in_the_record_is_not_confused_with_a_later_one(tmp_path):
    own = os.getpid()
    for started, found in ((processes.started(own), [own]), (processes.started(own) - 1, []), (None, [])):
        assert run_state.recorded({"left": [[own, started]]}) == found
    assert run_state.recorded({"left": [["x"]]}) == run_state.recorded({"left": 3}) == []


def test_a_lock_of_an_invisible_process_is_reported(arm, tmp_path, monkeypatch):
    lock = str(tmp_path / "lock")
    run = arm("sleep", "60", lock=lock)
    start(run)
    run.process.kill()
    run.process.wait(60)
    with monkeypatch.context() as blind:
        # As for a user who may not inspect the processes of root.
        blind.setattr(processes, "find", lambda _: ([], []))
        blind.setattr(node_lock, "openers", lambda _: [])
        told = run_end.end({"run_id": run.run_id, "base": str(tmp_path), "grace": 0.0, "dry_run": False})

    assert told["left"] == ["a process that you cannot see, which holds the run's lock"]
    assert run_end.end({"run_id": run.run_id, "base": str(tmp_path), "grace": 0.0, "dry_run": False})["left"] == []


def test_a_process_that_is_taking_the_lock_does_not_belong_to_the_run_before(arm, tmp_path):
    lock = tmp_path / "lock"
    run = arm("sleep", "60", lock=str(lock))
    lock.write_text("20250101-000000-aaaaaaaa\n")

    assert run_end.left("20250101-000000-aaaaaaaa", str(tmp_path)) == []
    lock.write_text(run.run_id + "\n")


# -- endless forks --------------------------------------------------------------------------------

CHAIN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setsid() if os.fork() == 0 else os._exit(0)
os.closerange(0, 64)
until = time.monotonic() + 15
while time.monotonic() < until:
    if os.fork():
        os._exit(0)
    descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b'.')
    os.close(descriptor)
"""


def test_a_chain_of_forks_is_ended_or_reported(arm, tmp_path):
    runs = {}
    for number in range(4):
        trace = tmp_path / f"trace-{number}"
        environment = {**os.environ, "MADCTL_RUN_ID": ""} if number % 2 else {}
        more = {"env": environment} if environment else {}
        trace.touch()  # It may be killed before it writes.
        runs[trace] = arm(sys.executable, "-S", "-c", CHAIN, str(trace), **more)
        start(runs[trace]).close()
    for trace, run in runs.items():
        run.process.wait(240)
        size = trace.stat().st_size
        time.sleep(0.5)  # That nothing happens is what is shown.
        lives = trace.stat().st_size > size
        assert not lives or run.record["left_behind"], "it reported that nothing is left"


def test_finding_nothing_once_is_not_a_proof(arm):
    # As when every search comes between a parent's end and the appearance of its child.
    blind = [("_node/processes", "found: Set[int] = set()\n    waiting", "return set()\n    waiting")]
    blind += [("_node/processes", "supervisors, marked = [], []", "return [], []\n    supervisors, marked = [], []")]
    blind += [
        (
            "_node/processes",
            '    found = procfs.read("/proc/%d/task',
            '    return set()\n    found = procfs.read("/proc/%d/task',
        )
    ]
    run = arm("sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & sleep 0.2", broken=[*SHORT, *blind])
    channel = start(run)
    run.follow(channel)
    _, seen = processes.find(run.run_id)
    for pid in seen:
        os.kill(pid, signal.SIGKILL)

    assert seen != []
    assert ["cannot be seen" in text for text in run.record["left_behind"]] == [True]
    assert run.record["unseen"] is True


def test_processes_that_start_during_the_search_are_found(monkeypatch):
    lists = iter([[1, 2], [2, 3], [3, 4], [4], [4]])
    monkeypatch.setattr(procfs, "numbered", lambda: next(lists))

    assert list(processes._arrivals()) == [1, 2, 3, 4]


# -- files ----------------------------------------------------------------------------------------

RANKS = """
import os, subprocess, sys
count, rank, *words = sys.argv[1:]
ranks = [
    subprocess.Popen([sys.executable, '-I', '-S', rank, *words],
                     env=dict(os.environ, RANK=str(n), WORLD_SIZE=count, LOCAL_RANK=str(n), LOCAL_WORLD_SIZE=count))
    for n in range(int(count))
]
sys.exit(max(rank.wait() for rank in ranks))
"""


def limited(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ranks(arm, tmp_path, count, files, broken=()):
    """Run ranks that all live at once and print one line each; return the run and its frames."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    words = ["sh", "-c", f"echo rank $RANK has $(ulimit -S -n); read _ < {gate}; echo bye >&2"]
    run = arm(sys.executable, "-S", "-c", RANKS, str(count), RANK, *words, preexec=limited(*files), broken=broken)
    channel = start(run)
    deadline = time.monotonic() + 240
    while len([e for e in run_state.read_events(str(run.run_dir)) if e["event"] == "joined"]) < count:
        assert time.monotonic() < deadline and run.process.poll() is None
        time.sleep(0.1)
    # A rank that joined may not have opened the gate yet: a line for each stays there until all have ended.
    with open(gate, "r+b", buffering=0) as opened:
        opened.write(b"\n" * count)
        return run, run.follow(channel)


def test_a_job_has_more_ranks_than_a_shell_s_usual_files(arm, tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    run, _ = ranks(arm, tmp_path, 200, (1024, hard))
    logs = {name: (run.run_dir / "logs" / f"rank-{name}.out").read_text() for name in range(200)}

    assert logs == {number: f"rank {number} has 1024\n" for number in range(200)}
    assert (run.record["ranks_joined"], run.record["exit_code"], run.record["left_behind"]) == (200, 0, [])


def test_a_lack_of_descriptors_loses_neither_lines_nor_the_supervisor(arm, tmp_path):
    run, frames = ranks(arm, tmp_path, 12, (64, 64))
    events = [header for header, _ in frames]
    short = [event["rank"] for event in events if event["event"] == "files_short"]
    said = "".join(path.read_text() for path in (run.run_dir / "logs").glob("*.out"))

    assert short != []
    assert sorted(said.splitlines()) == sorted(f"rank {number} has 64" for number in range(12))
    assert (run.record["ranks_joined"], run.record["exit_code"], len(run.record["rank_exits"])) == (12, 0, 12)
    assert (run.run_dir / "supervisor.log").read_text() == ""


def test_messages_of_any_process_of_the_job_do_no_harm(arm, tmp_path):
    said = ["x", "[]", "{}", '{"event": []}', '{"event": "joined"}', '{"event": "joined", "rank": "../x", "pid": 1}']
    said += ["[" * 10000, '{"event": "rank_exit", "exit_code": "x", "signal": 0}', '{"event": "no such"}', ""]
    said += ['{"event": "exec_failed", "rank": 0, "pid": 1, "errno": 2, "last": true, "self": 1, "seq": 99}']
    said += ['{"event": "models", "time": 1, "stopping": 2, "rows": []}']
    program = f"""
import array, os, socket
os.chdir(os.environ['MADCTL_RUN_DIR'])
for line in {said!r}:
    s = socket.socket(socket.AF_UNIX); s.connect('ranks.sock'); s.send(line.encode() + b'\\n')
files = [os.open('/dev/null', 0), os.open('/', 0)]
s = socket.socket(socket.AF_UNIX); s.connect('ranks.sock')
s.sendmsg([b'{{"event": "joined", "rank": 0, "pid": 1}}\\n'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', files))])
s.recv(1)
print('done')
"""
    run = arm(sys.executable, "-S", "-c", program)
    run.follow(start(run))

    assert (run.record["exit_code"], run.record["trouble"], run.record["ranks_joined"]) == (0, None, 1)
    assert (run.run_dir / "logs" / "runner.out").read_text() == "done\n"


# -- the directory --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["mkdir", "mkfifo", "ln -s /dev/zero", "touch"])
def test_what_a_job_puts_in_place_of_our_files_does_not_break_the_record(arm, make):
    ours = "exit.json exit.json.partial control.sock ranks.sock logs/rank-0.out logs/rank-0.err logs/rank-0.out.times"
    script = f"cd $MADCTL_RUN_DIR; for f in {ours}; do rm -f $f; {make} $f; done; exit 3"
    run = arm("sh", "-c", script)
    frames = run.follow(start(run))

    assert frames[-1][0]["exit_code"] == 3
    assert run_state.exit_record(str(run.run_dir))["exit_code"] == 3
    assert (run.run_dir / "supervisor.log").read_text() == ""


def test_a_rank_whose_log_cannot_be_written_is_still_read(arm, tmp_path):
    taken = "mkfifo logs/rank-0.out; mkdir logs/rank-0.err; ln -s /dev/full logs/rank-1.out"
    job = f"cd $MADCTL_RUN_DIR; {taken}; exec {sys.executable} -S -c \"$0\" 2 {RANK} sh -c 'echo out; echo err >&2'"
    run = arm("sh", "-c", job, RANKS)
    run.follow(start(run))

    assert (run.record["exit_code"], run.record["ranks_joined"], run.record["bytes_lost"]) == (0, 2, 12)
    assert (run.run_dir / "logs" / "rank-1.err").read_text() == "err\n"


def test_a_torn_event_affects_no_other(arm, tmp_path):
    gate = tmp_path / "gate"
    run = arm("sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done; exit 3")
    log = run.run_dir / "events.jsonl"
    whole, pid = log.stat().st_size, run.process.pid
    # A write is cut short where a file may not grow beyond a limit, as where a disk fills up.
    free = resource.prlimit(pid, resource.RLIMIT_FSIZE, (whole + 20, resource.RLIM_INFINITY))
    channel = start(run)
    while log.stat().st_size < whole + 20:
        pass
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    gate.touch()
    run.follow(channel)

    assert [event["event"] for event in run_state.read_events(str(run.run_dir))] == ["armed", "runner_exit", "exit"]
    assert run_state.look({"run_id": run.run_id, "run_dir": str(run.run_dir)})["container"] == "session"


# -- errors of our own ----------------------------------------------------------------------------

BREAK = "raise ValueError('no such thing')"
PLACES = {
    "a rank": (
        "_supervise/rank_reports",
        "        try:\n            data, ancillary",
        f"        {BREAK}\n        try:\n            data, ancillary",
    ),
    "a log": ("_node/log_segments", "        self._times.note(time.time(), self.size)\n", f"        {BREAK}\n"),
    "the clock": (
        "_supervise/supervisor_loop",
        "    if supervisor.timeout is not None and",
        f"    if supervisor.state == 'running':\n        {BREAK}\n    if supervisor.timeout is not None and",
    ),
    "an order": (
        "_supervise/supervisor",
        "        if KILL in orders:",
        f"        if KILL in orders: {BREAK}\n        if KILL in orders:",
    ),
    "the runner's end": (
        "_supervise/runner_processes",
        "        status = self._running.pop(pid).wait()\n",
        f"        status = self._running.pop(pid).wait(); {BREAK}\n",
    ),
    "the sweep": ("_supervise/final_sweep", "        marked, ours = self._find()\n", f"        {BREAK}\n"),
    "the record": (
        "_supervise/final_sweep",
        "    node_claim.keep_record(found)\n",
        f"    if supervisor.state == 'sweeping' and not supervisor.trouble:\n        {BREAK}\n    node_claim.keep_record(found)\n",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_error_of_our_own_ends_the_job_and_is_recorded(arm, place):
    job = f"echo out; (sleep 61 &) ; {sys.executable} -S {RANK} true; echo on; exec sleep 60"
    run = arm("sh", "-c", job, broken=[*SOON, PLACES[place]], grace=0.3)
    channel = start(run)
    if place not in ("a rank", "a log", "the clock"):
        channel.send(b"k")
    run.process.wait(240)
    channel.close()

    assert processes.find(run.run_id) == ([], [])
    assert "ValueError: no such thing" in (run.run_dir / "supervisor.log").read_text()
    assert run.record["trouble"] == "ValueError: no such thing"
    assert run.record["left_behind"] == []


def test_an_error_before_the_start_starts_nothing(arm):
    place = (
        "_supervise/supervisor",
        "        self._leave_armed()\n        self.state",
        f"        {BREAK}\n        self.state",
    )
    run = arm("sh", "-c", "echo started", broken=[place])
    channel = run.connect()
    channel.send(b"g")
    frames = run.follow(channel)

    assert (frames[-1][0]["outcome"], frames[-1][0]["trouble"]) == ("disarmed", "ValueError: no such thing")
    assert not (run.run_dir / "logs" / "runner.out").exists()
    assert json.loads((run.run_dir / "exit.json").read_text())["outcome"] == "disarmed"


def test_a_rank_that_never_reads_delays_nothing(arm):
    run = arm("sleep", "600")
    channel = start(run)
    rude = socket.socket(socket.AF_UNIX)
    rude.setblocking(False)
    before = os.getcwd()
    os.chdir(run.run_dir)
    rude.connect("ranks.sock")
    os.chdir(before)
    line = json.dumps({"event": "joined", "rank": 0, "pid": os.getpid(), "argv0": "x"}).encode() + b"\n"
    for _ in range(5000):
        try:
            rude.sendall(line)
        except BlockingIOError:
            break
    channel.send(b"s")
    frames = run.follow(channel)
    rude.close()

    assert (frames[-1][0]["outcome"], frames[-1][0]["reason"]) == ("exited", "stopped")


def test_a_rank_without_a_number_does_not_break_the_record(arm):
    run = arm("sleep", "60")
    channel = start(run)
    before = os.getcwd()
    os.chdir(run.run_dir)
    with socket.socket(socket.AF_UNIX) as odd:
        odd.connect("ranks.sock")
        for rank in (None, 0):
            odd.sendall(json.dumps({"event": "joined", "rank": rank, "pid": os.getpid()}).encode() + b"\n")
        os.chdir(before)
        channel.send(b"k")
        frames = run.follow(channel)

    assert frames[-1][0]["apart"] == [] and run.record["outcome"] == "exited"
