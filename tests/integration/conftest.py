# SPDX-License-Identifier: Apache-2.0
"""One lab for all integration tests: four real hosts, of which node3 names its data interface otherwise."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from madctl.lab import power
from madctl.lab.spec import Lab

JOBS = Path(__file__).parent / "jobs"
MADCTL = Path(sys.executable).with_name("madctl")


@dataclass(frozen=True)
class Finished:
    """How a madctl command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def codes(self):
        return [error["code"] for error in self.json["errors"]]


def madctl(*words, cwd=JOBS, env=None, timeout=120):
    """Run madctl as a user does."""
    argv = [str(MADCTL), *map(os.fsencode, words)]
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, timeout=timeout)
    return Finished(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


@pytest.fixture(scope="session", autouse=True)
def records(tmp_path_factory):
    """
    Keep what runs leave on this machine, and what a madctl leaves that is killed, in the tests' own directory.

    Ansible names its connections by host, and every lab has a node1: two suites at once must not share them.
    """
    os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(tmp_path_factory.mktemp("cp"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["TMPDIR"] = str(tmp_path_factory.mktemp("tmp"))


@pytest.fixture(scope="session")
def lab():
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    name = f"test-{uuid.uuid4().hex[:8]}"
    before = Path.cwd()
    os.chdir(JOBS)
    try:
        yield power.up(name, 4, {"node3": "ib0"})
    finally:
        os.chdir(before)
        power.down(name)


@pytest.fixture
def own_lab():
    """Three hosts of its own for a test that takes their power."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    before = Path.cwd()
    os.chdir(JOBS)
    try:
        yield power.up(name, 3, {})
    finally:
        os.chdir(before)
        power.down(name)


@pytest.fixture
def launch(lab):
    """Launch on hosts of the lab with the tests' Python."""

    def run(*words, hosts="node1,node2", **more):
        options = ["--lab", lab.name, "--hosts", hosts, "--python", sys.executable, "--output", "json"]
        return madctl("launch", *options, *words, **more)

    return run


@pytest.fixture
def on(lab):
    """Run a command on a host, past SSH."""

    def run(host, *words, check=True):
        argv = [str(MADCTL), "lab", "exec", "--name", lab.name, host, "--", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=check, timeout=60).stdout

    return run


@pytest.fixture(scope="session")
def tarball(tmp_path_factory):
    """Build the collection as it is published."""
    from tests.integration import alone

    return alone.build(tmp_path_factory.mktemp("dist"))


def wait_for(condition, seconds=30):
    """Wait until something is so; that it never is fails the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def left_behind(lab: Lab):
    """
    List what carries a run's mark on any host: the same question after every test.

    Nothing of a job outlives the word of its end; the supervisor that gave it may take a moment to go.
    """
    deadline = time.monotonic() + 10
    while True:
        found = marked(lab)
        is_over = time.monotonic() > deadline
        if is_over or not found or any(b"madctl_node.py\0supervisor\0" not in words for _, _, words in found):
            return found
        time.sleep(0.05)


def marked(lab: Lab):
    """List supervisors, and the processes that carry a run's mark, on any host."""
    found = []
    for host in lab.hosts:
        for pid in processes_of(host.init_pid):
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"MADCTL_RUN_ID=" in environment or b"madctl_node.py\0supervisor\0" in words:
                found.append((host.name, pid, words))
    return found


def processes_of(init_pid):
    """List the processes of a host, by its PID namespace."""
    try:
        namespace = os.readlink(f"/proc/{init_pid}/ns/pid")
    except OSError:
        return []
    result = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                result.append(int(entry))
        except OSError:
            continue
    return result


@pytest.fixture(autouse=True)
def nothing_left(request):
    """Hold after every test that no process of a run is left on any host."""
    yield
    if "lab" in request.fixturenames:
        found = left_behind(request.getfixturevalue("lab"))
        for _, pid, _ in found:
            # Or all tests that follow fail, too, and hide which one was the first.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert found == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let fixtures know whether their test failed."""
    report = yield
    item.has_failed = report.failed or getattr(item, "has_failed", False)
    return report


def pytest_terminal_summary(terminalreporter):
    """Print the matrix of faults as a table."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    calls = [report for report in reports if getattr(report, "when", None) == "call"]
    rows = [value for report in calls for name, value in report.user_properties if name == "fault"]
    if rows:
        terminalreporter.section("faults")
        for text, seconds in rows:
            terminalreporter.write_line(f"{text} {seconds:.1f} s |")
