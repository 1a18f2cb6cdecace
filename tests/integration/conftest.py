# SPDX-License-Identifier: Apache-2.0
"""One lab for all integration tests: four real hosts, of which node3 names its data interface otherwise."""

import os
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

from madctl.lab import power
from tests.integration import bare_ansible, launchers
from tests.integration import browser as browsers
from tests.integration import storage_cluster as storage
from tests.integration.command import JOBS, madctl, wait_for
from tests.integration.host_processes import kill, left_behind, on_host, processes_of


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
def home():
    """A home below a directory that other users may enter: on nodes, the reader is not root."""
    umask = os.umask(0o022)
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    yield directory / "home"
    shutil.rmtree(directory)
    os.umask(umask)


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
        return on_host(lab, host, *words, check=check).stdout

    return run


@pytest.fixture(scope="session")
def tarball(tmp_path_factory):
    """Build the collection as it is published."""
    return bare_ansible.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(autouse=True)
def nothing_left(request):
    """Hold after every test that no process of a run is left on any host."""
    yield
    if "lab" in request.fixturenames:
        found = left_behind(request.getfixturevalue("lab"))
        kill(found)
        assert found == []


@pytest.fixture
def own_records(tmp_path, monkeypatch):
    """Keep the remembered runs of each test apart."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def detached(launch):
    """A run that was let go after its start."""
    done = launch("--detach", "--", "wait.py", "leak")
    assert (done.code, done.json["status"]) == (0, "running"), done.err
    yield done.json["run_id"]
    madctl("stop", "--force")


@pytest.fixture
def detached_command(launch):
    """A command that was let go after its start, and leaks a process: as good where no rank matters, and starts no torch."""
    done = launch("--detach", "--command", "--", "sh", "-c", "setsid sleep 300 & echo waiting; sleep 300")
    assert (done.code, done.json["status"]) == (0, "running"), done.err
    yield done.json["run_id"]
    madctl("stop", "--force")


@pytest.fixture(scope="module")
def storage_cluster(lab):
    """The lab with storage mounted on three of its hosts."""
    with storage.mounted(lab) as found:
        yield found


LEFT_ON_A_HOST = """
cd /var/tmp/madctl-0 2>/dev/null || exit 0
test ! -e lock || flock --nonblock --shared lock true || echo "the lock is held"
ls -d */control.sock */ranks.sock */ready */spec.json */exit.json.partial 2>/dev/null
find . -maxdepth 2 ! -name torchrun -perm /077 ! -type l -print
find . -path './*/logs/runner.*' -perm /077 -print
ss -Hlnt 'sport = :29500'
ls -d /tmp/madctl-* /nfs/.madctl-* 2>/dev/null
true
"""


@pytest.fixture
def hosts_as_before(request):
    """Hold that no process, lock, listener, unit or temporary file of a run is left on any host."""
    yield
    launchers.end_followers()
    if request.node.has_failed:
        madctl("stop", "--force")  # Or all tests that follow fail, too, and hide which one was the first.
    if "lab" not in request.fixturenames:
        return
    lab = request.getfixturevalue("lab")
    wait_for(lambda: left_behind(lab) == [])
    for host in lab.hosts:
        if not processes_of(host.init_pid):
            continue  # Its power is off.
        said = on_host(lab, host.name, "sh", "-c", LEFT_ON_A_HOST, check=False)
        assert (said.stdout, said.returncode) == ("", 0), host.name


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser, for all tests of a file."""
    if not browsers.is_there():
        pytest.skip("not installed: chromium chromium-driver")
    with browsers.browser(tmp_path_factory.mktemp("browser")) as found:
        yield found
