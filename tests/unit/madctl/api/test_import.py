# SPDX-License-Identifier: Apache-2.0
"""``import madctl`` costs nothing, and offers what it says."""

import subprocess
import sys
from pathlib import Path

import pytest

import madctl

ROOT = Path(__file__).parents[4]


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    ).stdout.split()


def test_the_import_loads_nothing_else():
    code = "import sys; before = set(sys.modules); import madctl; print(*sorted(set(sys.modules) - before))"

    assert {name.partition(".")[0] for name in python(code)} <= {"madctl", *sys.stdlib_module_names}
    assert [name for name in python(code) if name.startswith("madctl")] == ["madctl"]
    assert not {"argparse", "subprocess", "threading", "signal"} & set(python(code))


def test_what_it_offers_is_there():
    assert set(madctl.__all__) <= set(dir(madctl))
    assert all(getattr(madctl, name) is not None for name in madctl.__all__)
    assert madctl.__version__ in (ROOT / "galaxy.yml").read_text()
    with pytest.raises(AttributeError, match="no attribute 'lunch'"):
        madctl.lunch  # noqa: B018


def test_no_package_hides_a_function():
    """An import of ``madctl.NAME`` sets that name in ``madctl``."""
    taken = {path.stem for path in (ROOT / "madctl").iterdir()} - {"errors"}

    assert not taken & set(madctl.__all__)


def test_its_errors_are_one_tree():
    errors = madctl.errors
    assert issubclass(errors.KeywordError, errors.UsageError) and issubclass(errors.KeywordError, TypeError)
    assert issubclass(errors.UsageError, errors.MadctlError) and issubclass(errors.RunError, errors.MadctlError)


USER = """
import madctl
from madctl import LaunchOptions, Result, Run, Status

options: LaunchOptions = {"hosts": ["gpu01"], "nproc_per_node": 8, "env": {"A": "1", "B": None}, "shared_path": "/nfs"}
run: Run = madctl.launch("train.py", "--lr", 1e-4, on="slurm", nodes=4, detach=True, show=False)
run = madctl.launch("train.py", ["--lr", "1"], **options)
result: Result = run.wait(timeout=3600, check=True)
status: Status = run.status()
code: int = result.exit_code
cause: str | None = result.cause
words: list[str] = [line.upper() for line in run.logs(rank=[0, 1], follow=True)]
rank: int | None = next(run.logs(rank=0)).rank
stopped: Status = run.stop(force=True)
passed: bool = madctl.check(hosts="gpu01", only=["network"]).passed
every: list[Run] = madctl.runs(n=3, failed=True)
try:
    madctl.run("name").wait()
except madctl.errors.RunError as error:
    problem: str = error.problems[0].code
"""
WRONG = {
    'madctl.launch("t.py", nproc_per_nod=8)': 'Unexpected keyword argument "nproc_per_nod"',
    'madctl.launch("t.py", detach="yes")': 'Argument "detach"',
    'madctl.launch("t.py", on="pbs")': 'Argument "on"',
    'madctl.launch("t.py", {"lr": 1})': "Argument 2",
    'madctl.run("a").wait(timeout="1")': 'Argument "timeout"',
}


@pytest.mark.slow
def test_a_program_of_a_user_is_type_checked(tmp_path):
    """Against the package as it is installed, which says by ``py.typed`` that it has types."""
    (tmp_path / "good.py").write_text(USER)
    (tmp_path / "wrong.py").write_text("import madctl\n" + "".join(f"{line}\n" for line in WRONG))
    argv = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={tmp_path / 'cache'}"]
    argv += ["--follow-imports=silent", "good.py", "wrong.py"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path)
    lines = [line for line in done.stdout.splitlines() if "note:" not in line]

    assert len(lines) == len(WRONG), done.stdout + done.stderr
    for number, (line, words) in enumerate(zip(lines, WRONG.values()), 2):
        assert line.startswith(f"wrong.py:{number}: error: ") and words in line
