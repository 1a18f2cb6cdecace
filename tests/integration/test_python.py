# SPDX-License-Identifier: Apache-2.0
"""``import madctl``: a program launches, reads, waits for and stops runs, and nothing else happens to it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import madctl
from madctl.records import record_store
from tests.integration.command import JOBS, wait_for
from tests.integration.command import madctl as command_line

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("own_records", "hosts_as_before")]
HOW_TO = (Path(__file__).parents[2] / "docs/how_to/python.md").read_text()
# Ends when it is told to, and on the second node with an error.
TOLD = "echo from $NODE_RANK; until [ -e /run/go ]; do sleep 0.1; done; rm /run/go; exit $NODE_RANK"
WAITS = ("sh", "-c", "echo waiting; sleep 300")


@pytest.fixture
def where(lab):
    return {"lab": lab.name, "python": sys.executable, "command": True}


def of_madctl():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("madctl")]


def test_a_run_is_followed_read_and_waited_for(where, on, capfd):
    run = madctl.launch("sh", "-c", TOLD, hosts=["node1", "node2"], name="told", **where)
    stands, lines = run.status(), []
    with pytest.raises(TimeoutError, match=run.id):
        run.wait(timeout=0.1)
    wait_for(lambda: len(list(run.logs())) == 2)
    reader = threading.Thread(target=lambda: lines.extend(run.logs(host="node2", follow=True)))
    reader.start()
    wait_for(lambda: lines)
    for host in ("node1", "node2"):
        on(host, "touch", "/run/go")
    result = run.wait()
    reader.join(180)

    assert (stands.status, stands.goes_on, stands.hosts) == ("running", True, ("node1", "node2"))
    assert [(line, line.host, line.rank, line.stream) for line in lines] == [("from 1", "node2", None, "stdout")]
    assert (result.status, result.exit_code, result.errors[0].code) == ("failed", 6, "COMMAND_FAILED")
    assert result.cause == "node2: the command failed: exit code 1" and result.data["duration_seconds"] > 0
    with pytest.raises(madctl.errors.RunError, match="COMMAND_FAILED") as caught:
        run.wait(check=True)
    assert (caught.value.exit_code, caught.value.run_id) == (6, run.id)
    # Anew, as another process would ask.
    again = madctl.run("told").wait()
    assert (again.status, again.exit_code, again.cause) == (result.status, 6, result.cause)
    assert madctl.runs(failed=True) == [run] and repr(run) == f"<madctl.Run {run.id} told: failed>"
    wait_for(lambda: of_madctl() == [])
    assert capfd.readouterr() == ("", "")


def test_two_runs_at_once_are_stopped_from_two_threads(where, capfd):
    def launched(host):
        return madctl.launch(*WAITS, hosts=host, **where)

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(launched, ["node1", "node2"]))
        with pytest.raises(madctl.errors.RunError, match="NODE_BUSY") as refusal:
            launched("node1")
        stopped = list(pool.map(madctl.Run.stop, runs))
        results = list(pool.map(madctl.Run.wait, runs))

    assert refusal.value.exit_code == 3 and refusal.value.problems[0].host == "node1"
    assert [(one.status, one.hosts) for one in stopped] == [("stopped", ("node1",)), ("stopped", ("node2",))]
    assert [(one.id, one.status) for one in results] == [(run.id, "stopped") for run in runs]
    assert capfd.readouterr() == ("", "")


PROGRAM = """
import locale, os, resource, signal, sys, threading
import madctl

def state():
    mask = os.umask(0o77); os.umask(mask)
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    return (mask, os.getcwd(), dict(os.environ), handlers, locale.setlocale(locale.LC_ALL), sys.stdout, sys.stderr,
            os.fstat(1), os.fstat(2), resource.getrlimit(resource.RLIMIT_NOFILE), sys.excepthook, threading.excepthook)

def alike(one, other):
    return [a if not isinstance(a, os.stat_result) else a.st_ino for a in one] == [
        a if not isinstance(a, os.stat_result) else a.st_ino for a in other]

before = state()
run = madctl.launch(*{waits}, hosts="node1", **{where})
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    run.wait()
except KeyboardInterrupt:
    print("interrupted", run.status().status)
signal.signal(signal.SIGALRM, signal.SIG_DFL)
print("alike", alike(before, state()))
child = os.fork()
if not child:
    os._exit(run.status().status != "running")
print("forked", os.waitpid(child, 0)[1])
"""


def test_a_program_is_as_before_and_its_run_outlives_it(where, tmp_path):
    (tmp_path / "tmp").mkdir()
    code = PROGRAM.replace("{waits}", repr(WAITS)).replace("{where}", repr(where))
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=JOBS, env=environment)

    assert (done.stdout.splitlines(), done.stderr) == (["interrupted running", "alike True", "forked 0"], "")
    assert list((tmp_path / "tmp").iterdir()) == [] and done.returncode == 0
    run = madctl.run()
    assert run.status().status == "running"
    assert run.stop().status == "stopped"


def test_ctrl_c_while_a_launch_begins_leaves_nothing(where):
    def press():
        wait_for(lambda: record_store.names())
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        # The setup keeps the launch from being over before the key is pressed.
        madctl.launch(*WAITS, hosts="node1,node2", setup="sleep 10", **where)
        presser.join()  # What is pressed too late must not reach the tests that follow.

    assert not madctl.run().status().goes_on
    assert command_line("status").code == 0


# -- the examples of the page ----------------------------------------------------------------------

# What the page calls gpu01 is called otherwise in the lab, and torch need not be started for a sweep.
PRELUDE = """
import sys
import madctl

def changed(function):
    def call(script, *words, hosts, **options):
        hosts = {"gpu[01-02]": HOSTS[0], "gpu[03-04]": HOSTS[-1]}[hosts]
        first = (sys.executable, script) if COMMAND else (script,)
        return function(*first, *words, lab=LAB, hosts=hosts, python=sys.executable, command=COMMAND, **options)
    return call

madctl.launch, madctl.check = changed(madctl.launch), changed(madctl.check)
"""
TRAIN = "import os, sys\nprint('training', *sys.argv[1:])\nsys.exit('0.01' in sys.argv)\n"


def blocks(heading):
    section = HOW_TO.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def prelude(lab, hosts, command):
    return f"LAB, HOSTS, COMMAND = {lab.name!r}, {hosts!r}, {command}\n{PRELUDE}"


@pytest.fixture
def place():
    """A directory that nodes see, with a script."""
    found, before = Path(tempfile.mkdtemp(prefix="python-", dir=JOBS)), Path.cwd()
    (found / "train.py").write_text(TRAIN)
    os.chdir(found)
    yield found
    os.chdir(before)
    for path in found.iterdir():
        path.unlink()
    found.rmdir()


def run_block(heading, before):
    (code,) = blocks(heading)
    return subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True)


def test_the_sweep(lab, place):
    done = run_block("A sweep", prelude(lab, ["node1", "node2"], True))

    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        *(["0.1", "succeeded"], ["0.01", "failed"], ["0.001", "succeeded"], ["0.0001", "succeeded"]),
    ]
    assert "the command failed: exit code 1" in done.stdout.splitlines()[1]
    assert {madctl.run(f"lr-{rate}").name for rate in ("0.1", "0.0001")} == {"lr-0.1", "lr-0.0001"}


def test_the_notebook(lab, place):
    """In a real kernel, which has an event loop that runs, and streams of its own."""
    import nbclient
    import nbformat
    from jupyter_client import AsyncKernelManager

    cells = [prelude(lab, ["node1,node2"], False), *blocks("A notebook")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    # Ports that are free when they are chosen may be taken when the kernel listens on them.
    kernel = AsyncKernelManager(kernel_name="python3", transport="ipc")
    nbclient.NotebookClient(notebook, km=kernel, timeout=300, coalesce_streams=True).execute()
    _, shown, lines, result = (cell["outputs"] for cell in notebook.cells)

    assert "<table><tr><th>run</th>" in shown[0]["data"]["text/html"]
    assert [(one["name"], one["text"]) for one in lines] == [("stdout", "training\n")]
    assert "<td>succeeded</td>" in result[0]["data"]["text/html"]


def test_the_program_for_ci(lab, place):
    import json

    done = run_block("CI", prelude(lab, ["node1"], True))
    (place / "train.py").unlink()
    refused = run_block("CI", prelude(lab, ["node1"], True))

    assert done.returncode == 0 and "node1 │ training" in done.stdout, done.stderr
    assert json.loads((place / "result.json").read_text())["run"] == madctl.run().id
    assert refused.returncode == 3 and "ENTRY_MISSING" in refused.stderr and "training" not in refused.stdout
