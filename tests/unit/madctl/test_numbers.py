# SPDX-License-Identifier: Apache-2.0
"""Numbers of the command line are written in plain digits; what else is typed is one line, and never a traceback."""

import pytest

from madctl import cli
from tests.unit.not_numbers import NOT_NUMBERS

pytestmark = pytest.mark.usefixtures("known_python", "one_parser")

OPTIONS = {
    "--nproc-per-node": "check",
    "--master-port": "check",
    "--log-cap": "check",
    "--nnodes": "check",
    "--max-restarts": "check",
    "--port": "inventory",
    "-n": "lab up",
    "--days": "gc",
    "--timeout": "check",
}
# Times are numbers of Python, which takes more ways to write one.
ALSO_TIMES = ("1.0", "1e3", "+1", "1_0", " 1", "1 ", "٣", "१", "1\n")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("text", [text for text in NOT_NUMBERS if text])
def test_options_take_plain_numbers(option, text, capsys):
    if option in ("--days", "--timeout") and text in ALSO_TIMES:
        return
    hosts = [] if option == "-n" else ["--hosts", "gpu1"]

    assert cli.main([*OPTIONS[option].split(), *hosts, f"{option}={text}" if option != "-n" else f"-n{text}"]) == 2
    assert "[USAGE]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "hosts", ["e:²", "[fd00::1]:²", "[fd00::1]:0", "4[-1]", "aB[1-2-- 4-4]", "a[²]", "a:" + "9" * 5000]
)
def test_host_lists_never_end_in_a_traceback(hosts, capsys):
    assert cli.main(["inventory", f"--hosts={hosts}"]) == 2
    assert "HOST" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["a:²", "a slots=²", "a slots=", "a:", "a slots=" + "9" * 5000, "a slots=1_0", "a slots=+1"]
)
def test_host_files_never_end_in_a_traceback(line, capsys, tmp_path):
    (tmp_path / "hosts").write_text(line)

    assert cli.main(["inventory", f"--hostfile={tmp_path / 'hosts'}"]) == 2
    assert "[HOSTFILE_MALFORMED]" in capsys.readouterr().err
