# SPDX-License-Identifier: Apache-2.0
"""What the job's Python is asked, and what is not run meanwhile."""

import sys

from ansible_collections.madctl.multinode.plugins.module_utils._probe import fingerprint


def test_files_called_as_modules_of_python_are_not_run(tmp_path, monkeypatch):
    for name in ("json", "re", "importlib", "os", "torch", "job"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    found = fingerprint.python(sys.executable, True, None, "job", str(tmp_path), with_mpi=False)

    assert not (tmp_path / "ran").exists()
    assert found["wanted_report"]["module"] is True
