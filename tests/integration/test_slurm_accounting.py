# SPDX-License-Identifier: Apache-2.0
"""What a site's accounting keeps of runs in jobs: it agrees with our verdicts. Needs slurmdbd and MariaDB."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from madctl.lab import slurm, state
from tests.integration import slurm_site
from tests.integration.command import wait_for

PROGRAMS = ("slurmctld", "slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb", "mariadb-install-db")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"NOT TESTED: not installed: {' '.join(MISSING)}"),
    pytest.mark.usefixtures("own_records"),
]
PORTS = (61000, 61100)
# Below those that the kernel chooses, as that of the controller is.
FIRST_PORTS = (22000, 23000)
DBD = """\
AuthType=auth/munge
AuthInfo=socket={place}/munge.sock
DbdHost=localhost
DbdPort={dbd}
SlurmUser=root
LogFile={place}/slurmdbd.log
PidFile={place}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
CONTROLLER = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={dbd}
AccountingStoragePass={place}/munge.sock
"""
GRANTS = """\
CREATE DATABASE slurm_acct_db;
CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
"""


class Accounting:
    """A database, slurmdbd, and the lab's controller with both."""

    def __init__(self, site):
        self._site, self._place = site, Path(slurm.environment(site.lab)["SLURM_CONF"]).parent
        self._programs = []

    def start(self):
        # Each lab has its own; one that is free now may be another connection's a moment later.
        index = self._site.lab.index
        ports = {"place": self._place, "dbd": FIRST_PORTS[0] + index, "database": FIRST_PORTS[1] + index}
        self._start_database(ports["database"])
        (self._place / "slurmdbd.conf").write_text(DBD.format(**ports))
        (self._place / "slurmdbd.conf").chmod(0o600)
        self._spawn("slurmdbd", "-D")
        configuration = self._place / "slurm.conf"
        configuration.write_text(configuration.read_text() + CONTROLLER.format(**ports))
        wait_for(lambda: self._succeeds("sacctmgr", "-n", "list", "cluster"), 120)
        controller = int((self._place / "slurmctld.pid").read_text())
        os.kill(controller, 15)
        wait_for(lambda: has_ended(controller))
        self._spawn("slurmctld", "-D")
        wait_for(lambda: self._site.slurm("sinfo", "-h", "-t", "idle", "-o", "%D") == str(slurm_site.ALL), 60)
        wait_for(
            lambda: self._site.slurm("sacctmgr", "-nP", "list", "cluster", "format=cluster") == self._site.lab.name
        )

    def _start_database(self, port):
        data, door = self._place / "database", self._place / "database.sock"
        words = ["--no-defaults", "--user=root", f"--datadir={data}"]
        plain = ["--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(["mariadb-install-db", *words, *plain], check=True, capture_output=True, timeout=120)
        self._spawn("mariadbd", *words, f"--socket={door}", f"--port={port}", "--bind-address=127.0.0.1")
        enter = ["mariadb", "--no-defaults", f"--socket={door}", "-u", "root", "-e"]
        wait_for(lambda: self._succeeds(*enter, "SELECT 1"), 60)
        subprocess.run([*enter, GRANTS], check=True, capture_output=True, timeout=60)

    def _spawn(self, *argv):
        variables = {**os.environ, **slurm.environment(self._site.lab), state.MARK: self._site.lab.name}
        with (self._place / f"{argv[0]}.said").open("wb") as log:
            program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables)
        self._programs.append(program)

    def _succeeds(self, *argv):
        variables = {**os.environ, **slurm.environment(self._site.lab)}
        return subprocess.run(argv, env=variables, capture_output=True, timeout=60, check=False).returncode == 0

    def end(self):
        for program in reversed(self._programs):
            program.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(20)
            program.kill()
            program.wait()


def has_ended(pid):
    """Whether a process has ended, also if its starter has not asked for it."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


@pytest.fixture(scope="module")
def site():
    with slurm_site.running(more=[f"SrunPortRange={PORTS[0]}-{PORTS[1]}"]) as found:
        accounting = Accounting(found)
        try:
            accounting.start()
            yield found
            slurm_site.clear(found)
        finally:
            accounting.end()


def account(site, run_id):
    """Return the state and the exit code that accounting has of a run's job."""
    return site.slurm("sacct", "-n", "-P", "-X", "-j", site.job_of(run_id), "-o", "State,ExitCode")


def test_a_run_that_succeeds_is_completed(site):
    done = site.launch("--command", "--", "true")
    assert (done.code, done.json["status"]) == (0, "succeeded"), done.err

    wait_for(lambda: account(site, done.json["run_id"]) == "COMPLETED|0:0")


def test_a_run_that_fails_is_failed_with_our_exit_code(site):
    done = site.launch("--command", "--", "sh", "-c", "exit 7")
    assert (done.code, done.json["status"]) == (6, "failed"), done.err

    wait_for(lambda: account(site, done.json["run_id"]) == "FAILED|6:0")


def test_a_run_that_is_stopped_is_cancelled_by_its_user(site):
    done = site.launch("--detach", "--command", "--", "sh", "-c", "echo begun; sleep 60")
    wait_for(lambda: "begun" in site.run("logs", done.json["run_id"]).out)
    assert site.run("stop", done.json["run_id"]).code == 0
    assert site.run("status", done.json["run_id"], "--exit-code").code == 130

    wait_for(lambda: account(site, done.json["run_id"]).startswith("CANCELLED by 0|"))


def test_a_run_that_reaches_the_time_limit_of_its_job_is_timed_out(site):
    """The shortest limit that there is, a minute; the controller looks every half minute."""
    done = site.launch("--time", "1", "--command", "--", "bash", "-c", slurm_site.ORDERLY, nodes=1, timeout=180)

    assert (done.code, done.codes) == (8, ["TIMED_OUT"]), done.err
    assert "orderly" in done.err
    wait_for(lambda: account(site, done.json["run_id"]).startswith("TIMEOUT|"))


def test_agents_dial_in_inside_the_ports_of_the_site(site):
    done = site.launch("--command", "--", "ps", "-ww", "axo", "args", nodes=2)
    found = {int(port) for port in re.findall(r"_ways\.slurm (\d+)", done.err)}

    assert done.code == 0 and found and found <= set(range(PORTS[0], PORTS[1] + 1)), done.err
