# SPDX-License-Identifier: Apache-2.0
"""The first process of a pod: a family of real processes, in a process namespace of their own where this may be made."""

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._job import pod as pod_module
from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import delivery

# Becomes the first process of a new namespace, and does there what a test says.
_BEGIN = """
import os, signal, sys, time
from ansible_collections.madctl.multinode.plugins.module_utils._common import pods
from ansible_collections.madctl.multinode.plugins.module_utils._job import pod
"""
# Stands for a whole pod: what its agent, its conductor and its printer do, and where it finds what it is told.
_POD = (
    _BEGIN
    + """
known = pod.pod_site.About("madctl-x", "madctl-x", 2, 29400, 5.0)
pod.pod_site.about = lambda: known
pod.pod_site.request = lambda: {"arguments": {"run_id": "x"}}
pods.LINGER_SECONDS = %linger%
sys.argv[0] = os.path.join(%place%, "program")

def say(text):
    os.write(1, text.encode() + b"\\n")

def until(number):
    signal.sigwait({number})

class Printer:
    def __init__(self, *given):
        pass
    def run(self):
        while os.read(0, 100):
            pass
        say("printer ends")

pod.pod_printer.Printer = Printer
def conduct(known, write, kept):
    with open(kept, "wb") as stream:
        stream.write(b"result: {}\\n")
    %conduct%
def agent(known, index):
    %agent%
pod._conduct, pod._agent = conduct, agent
pod.main()
"""
)
_CLONE_NEWPID, _CLONE_NEWNS = 0x20000000, 0x00020000


def _may_unshare():
    pid = os.fork()
    if not pid:
        os._exit(ctypes.CDLL(None).unshare(_CLONE_NEWPID | _CLONE_NEWNS) != 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0 or not _may_unshare(), reason="no process namespaces for this user"),
]


class Started:
    """A program as the first process of a namespace of its own."""

    def __init__(self, text, index=0):
        own = [sys.executable, "-c", text]
        mount = 'mount -t proc proc /proc && exec "$@"'
        argv = ["unshare", "--pid", "--fork", "--mount", "--kill-child", "--", "sh", "-c", mount, "sh", *own]
        variables = {**os.environ, "JOB_COMPLETION_INDEX": str(index), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, stdin=subprocess.DEVNULL
        )
        self.said = []

    def until(self, text):
        """Read what it says until it says something."""
        while text not in self.said:
            line = self.process.stdout.readline().decode()
            assert line, f"it ended without saying {text!r}: {self.said}"
            self.said.append(line.rstrip("\n"))

    def term(self):
        """Send the order of a cluster to end to its first process."""
        path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(path) as stream:
            os.kill(int(stream.read()), signal.SIGTERM)

    def end(self):
        rest, _ = self.process.communicate(timeout=60)
        self.said += rest.decode().splitlines()
        return self.process.returncode


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(text, index=0, conduct="pass", agent="pass", linger=0.0):
        values = {"linger": repr(linger), "conduct": conduct, "agent": agent, "place": repr(str(tmp_path))}
        for name, value in values.items():
            text = text.replace(f"%{name}%", value)
        started.append(Started(text, index))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()
        one.process.stdout.close()


# -- a family -----------------------------------------------------------------------------------------


def test_orphans_are_reaped_while_it_waits(start):
    """The parent of an orphan ends first; the first process of the namespace is then told of its end."""
    code = """
family = pod.Family()
gate, hold = os.pipe()
def orphans():
    os.close(hold)
    for _ in range(20):
        if not os.fork():
            os.read(gate, 1)
            os._exit(0)
    sys.exit(7)
parent = family.start(orphans)
print(os.getpid(), family.wait(parent))
os.close(hold)
while any(name.isdigit() and name != "1" for name in os.listdir("/proc")):
    family.wait(-1, 0.01)
print("none is left")
"""
    run = start(_BEGIN + code)

    assert run.end() == 0 and run.said == ["1 7", "none is left"]


CODES = {
    "pass": 0,
    "sys.exit(3)": 3,
    "sys.exit('it broke')": 1,
    "sys.exit(None)": 1,
    "raise ValueError('odd')": 1,
    "os.kill(os.getpid(), signal.SIGKILL)": 137,
    "signal.signal(signal.SIGTERM, signal.SIG_DFL) and None; os.kill(os.getpid(), signal.SIGTERM)": 143,
}


@pytest.mark.parametrize("program", CODES)
def test_the_code_of_a_child_is_that_of_a_shell_and_an_error_is_printed(start, program):
    code = f"\nfamily = pod.Family()\ndef program():\n    {program}\nprint(family.wait(family.start(program)))\n"
    run = start(_BEGIN + code)

    assert run.end() == 0 and run.said[-1] == str(CODES[program])
    assert "it broke" not in program or "it broke" in run.said
    assert "odd" not in program or "ValueError: odd" in run.said


def test_waiting_ends_after_its_time_and_at_a_signal_the_order_is_passed_on(start):
    code = """
family = pod.Family()
child = family.start(lambda: time.sleep(1000))
print(family.wait(child, 0.01))
family.on_term = lambda: os.kill(child, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGTERM)
print(family.wait(child))
"""
    run = start(_BEGIN + code)

    assert run.end() == 0 and run.said == ["None", "137"]


# -- a pod --------------------------------------------------------------------------------------------


def test_the_first_pod_ends_last_with_the_code_of_its_conductor_and_its_result_after_all_output(start):
    run = start(_POD, conduct='say("conductor ends"); sys.exit(6)', agent='say("agent ends"); sys.exit(9)')

    assert run.end() == 6
    assert sorted(run.said[:2]) == ["agent ends", "conductor ends"] and run.said[2:] == ["printer ends", "result: {}"]


def test_a_run_that_succeeded_ends_its_pod_at_once(start):
    run = start(_POD, conduct="sys.exit(0)", linger=1000.0)

    assert run.end() == 0 and run.said[-1] == "result: {}"


def test_after_a_failure_the_first_pod_waits_until_the_cluster_has_seen_the_others_end(start):
    run = start(_POD, conduct="sys.exit(6)", linger=1000.0)
    run.until("result: {}")
    assert run.process.poll() is None
    run.term()

    assert run.end() == 6


@pytest.mark.parametrize(
    ("code", "expected"), [("sys.exit(0)", 0), ("sys.exit('cannot dial in')", 1), ("raise ValueError", 1)]
)
def test_another_pod_ends_with_its_agent_at_once(start, code, expected):
    run = start(_POD, index=1, agent=code, conduct='say("no conductor here")', linger=1000.0)

    assert run.end() == expected and "printer ends" in run.said and "no conductor here" not in run.said


def test_the_order_to_end_goes_to_the_conductor(start):
    conduct = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); say('conductor waits'); until(signal.SIGTERM); say('ordered'); sys.exit(130)"
    run = start(_POD, conduct=conduct)
    run.until("conductor waits")
    run.term()

    assert run.end() == 130 and "ordered" in run.said


def test_elsewhere_the_order_to_end_goes_to_what_the_agent_has_started_and_not_to_the_agent(start):
    agent = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); child = os.fork()\n"
        "    if not child:\n        say('supervisor waits'); until(signal.SIGTERM); say('ordered'); os._exit(0)\n"
        "    os.waitpid(child, 0); say('not the agent' if not signal.sigpending() else 'the agent')"
    )
    run = start(_POD, index=1, agent=agent)
    run.until("supervisor waits")
    run.term()

    assert run.end() == 0 and "ordered" in run.said and "not the agent" in run.said


def test_an_order_after_the_end_of_the_conductor_ends_nothing_else(start, tmp_path):
    """Its process id may belong to another process by then."""
    os.mkfifo(tmp_path / "gate")
    code = _POD.replace(
        "pod.main()",
        """
real = pod.Family.wait
def wait(family, pid, seconds=None):
    if seconds == pod._AGENT_SECONDS:
        say("conductor is reaped")
    return real(family, pid, seconds)
pod.Family.wait = wait
pod.os.kill = lambda *given: say("killed")
pod.main()
""",
    )
    run = start(code, conduct="sys.exit(6)", agent="open(os.path.join(%place%, 'gate')).read(); say('agent ends')")
    run.until("conductor is reaped")
    run.term()
    (tmp_path / "gate").write_text("")

    assert run.end() == 6 and "agent ends" in run.said and "killed" not in run.said


def test_what_the_printer_does_not_finish_does_not_keep_the_result(start):
    code = _POD.replace('say("printer ends")', "time.sleep(1000)").replace(
        "pod.main()", "pod._PRINTER_SECONDS = 0.01\npod.main()"
    )
    run = start(code, conduct="sys.exit(0)")

    assert run.end() == 0 and run.said == ["result: {}"]


# -- before all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["", "x", "-1", "1.5", "\u0661"])
def test_what_is_no_pod_of_an_indexed_job_says_so(monkeypatch, index):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    with pytest.raises(SystemExit, match="JOB_COMPLETION_INDEX is not set"):
        pod_module._index()


def test_the_parcel_has_all_that_a_pod_imports(tmp_path):
    """It is unpacked, and the program of the pod begins, in an interpreter without anything else of ours."""
    (tmp_path / "programs.zip").write_bytes(delivery.programs())
    (tmp_path / "madctl_pod.py").write_text(delivery.pod_program())
    variables = {"JOB_COMPLETION_INDEX": "0", "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    argv = [sys.executable, "-I", "-S", str(tmp_path / "madctl_pod.py")]
    found = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=60, check=False)

    assert found.returncode == 1
    assert found.stderr == "madctl: pod-0: /madctl/pod.json: No such file or directory\n", found.stderr
    assert delivery.programs() == delivery.programs(), "the same programs are the same bytes"
