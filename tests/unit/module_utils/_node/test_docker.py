# SPDX-License-Identifier: Apache-2.0
"""How a node finds its madengine, with programs as pip installs them."""

import os

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._node import docker, executables

FIRST_SAYS = "MAD_MINIO environment variable is not set.\nMAD_MINIO is using default values.\n"


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def prefix(tmp_path, version, head="#!{python}\n"):
    """Write a virtual environment with madengine in it; its program must not be started."""
    python = program(tmp_path / "venv/bin/python3", "#!/bin/sh\n")
    metadata = tmp_path / f"venv/lib/python3.11/site-packages/madengine-{version}.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: madengine\nVersion: {version}\n\nVersion: 9.9.9\n")
    return program(tmp_path / "venv/bin/madengine", head.format(python=python) + "exit 1\n")


@pytest.mark.parametrize(
    "head", ["#!{python}\n", "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n", "#! {python} -I\n"]
)
@pytest.mark.parametrize("version", ["1.0.0", "2.1.0.dev8+g6517b4f"])
def test_the_version_is_read_from_beside_the_program(tmp_path, head, version):
    assert docker.installed(prefix(tmp_path, version, head)) == version


def test_two_distributions_beside_it_prove_nothing(tmp_path):
    found = prefix(tmp_path, "1.0.0")
    other = tmp_path / "venv/lib/python3.12/site-packages/madengine-2.0.0.dist-info/METADATA"
    other.parent.mkdir(parents=True)
    other.write_text("Version: 2.0.0\n\n")

    assert docker.installed(found) is None


def test_a_program_whose_python_is_gone_is_broken(tmp_path, monkeypatch):
    found = prefix(tmp_path, "1.0.0")
    (tmp_path / "venv/bin/python3").unlink()
    monkeypatch.setattr(executables, "which", lambda name: found if name == "madengine" else None)

    looked = docker.look(None)
    assert (looked["version"], looked["broken"], looked["silent"]) == (None, "no such file or directory", False)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (FIRST_SAYS + "1.0.0\n", "1.0.0"),
        ("🚀 madengine version 2.1.0\n", "2.1.0"),
        ("Current working directory: /root/1.5/x\n" + FIRST_SAYS + "1.0.0\n", "1.0.0"),
        ("madengine version unknown\n", None),
        ("", None),
        ("1." + "9" * 5000, "1." + "9" * 38),
    ],
)
def test_the_version_is_found_in_the_output_of_madengine(tmp_path, said, expected):
    text = tmp_path / "said"
    text.write_text(said)

    assert docker.asked(program(tmp_path / "bin/madengine", f"#!/bin/sh\ncat {text}\n")) == expected


def test_asking_for_the_version_leaves_nothing_behind(tmp_path, monkeypatch):
    checkout, home, places = tmp_path / "checkout", tmp_path / "home", tmp_path / "places"
    for place in (checkout, home, places):
        place.mkdir()
    (checkout / "models.json").write_text("[]")
    monkeypatch.setenv("MODEL_DIR", str(checkout))
    monkeypatch.setenv("TMPDIR", str(places))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(home)
    script = '#!/bin/sh\ntouch madengine.log\n[ -z "$MODEL_DIR" ] || cp -R $MODEL_DIR/* .\necho 1.0.0\n'

    assert docker.asked(program(tmp_path / "bin/madengine", script)) == "1.0.0"
    assert (os.listdir(home), os.listdir(places)) == ([], [])


def test_a_madengine_that_does_not_answer_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(docker, "_VERSION_SECONDS", 0.3)
    found = program(tmp_path / "bin/madengine", "#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(executables, "which", lambda name: found if name == "madengine" else None)
    looked = docker.look(None)

    assert (looked["silent"], looked["version"], looked["broken"]) == (True, None, None)


def test_names_that_hold_madengines_are_listed(tmp_path, monkeypatch):
    script = """#!/bin/sh
case "$1" in
ps) printf 'container_a\\nold_container_M\\ndatabase\\n' ;;
inspect) shift; printf '['; first=; for name; do printf '%s{"Name": "/%s", "Config": {"Env": null}}' "$first" "$name"; first=,; done; printf ']' ;;
esac
"""
    program(tmp_path / "bin/docker", script)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    assert [entry["name"] for entry in docker.containers()] == ["container_a", "old_container_M"]
