# SPDX-License-Identifier: Apache-2.0
"""What a dry run prints of a run in pods: all of it, or all but the Secret, without a cluster or its client."""

import json
import os
import sys

import pytest
import yaml

from ansible_collections.madctl.multinode.plugins.module_utils._kubernetes import delivery
from madctl import cli
from madctl.errors import UsageError
from madctl.jobs import kubernetes_draft
from tests.unit.kubernetes_objects import checked, decoded

pytestmark = pytest.mark.usefixtures("one_parser")
CANARY = "canary-of-the-environment"
NEEDED = ("--on", "k8s", "--nnodes", "2", "--image", "registry.example.org/train:1")


@pytest.fixture(autouse=True)
def programs(monkeypatch, tmp_path):
    """Deliver a small program, and let no cluster be within reach."""
    program = "# The first process of a pod.\nimport sys\n\nsys.exit(0)\n"
    monkeypatch.setattr(delivery, "pod_program", lambda: program)
    monkeypatch.setattr(delivery, "programs", lambda: b"PK\x05\x06" + bytes(18))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dry_run(capsys):
    """Run a dry run, and return what it prints."""

    def run(*words):
        assert cli.main(["launch", *NEEDED, "--dry-run", *words, "--", "train.py", "--lr", "1"]) == 0
        found = capsys.readouterr()
        assert found.err == ""
        return found.out

    return run


def request_of(objects):
    (secret,) = [one for one in objects if one["kind"] == "Secret"]
    return json.loads(decoded(secret["data"]["request.json"]))


@pytest.mark.parametrize("output", [(), ("--output", "yaml")])
def test_yaml_has_every_object_but_the_secret(dry_run, output):
    text = dry_run("--env", f"TOKEN={CANARY}", "--namespace", "team-a", *output)
    objects = checked(list(yaml.safe_load_all(text)))
    name = objects[0]["metadata"]["name"]

    assert [one["kind"] for one in objects] == ["ConfigMap", "Service", "Job"]
    assert {one["metadata"]["name"] for one in objects} == {name}
    assert text.splitlines()[:4] == [
        "# Create these with kubectl create -f, or with kubectl apply --server-side -f.",
        f"# The Secret {name}, which has the run's key and the values of --env, is left out.",
        "# The pods wait for it. --with-secret prints it, too.",
        "---",
    ]
    assert "  madctl_pod.py: |\n    # The first process of a pod.\n" in text
    assert CANARY not in text + str([decoded(data) for data in objects[0]["binaryData"].values()])


def test_the_secret_is_printed_if_it_is_asked_for(dry_run):
    text = dry_run("--env", f"TOKEN={CANARY}", "--with-secret")
    objects = checked(list(yaml.safe_load_all(text)))
    request = request_of(objects)

    assert [one["kind"] for one in objects] == ["Secret", "ConfigMap", "Service", "Job"]
    assert "left out" not in text
    assert len(decoded(objects[0]["data"]["key"])) == 32
    assert request["arguments"]["env"] == {"TOKEN": CANARY}
    assert CANARY not in json.dumps(objects[1:])


def test_neither_the_client_nor_ansible_is_needed(dry_run, monkeypatch):
    packages = ("kubernetes", "ansible", "ansible_runner")
    for name in {*packages, *(name for name in sys.modules if name.partition(".")[0] in packages)}:
        monkeypatch.setitem(sys.modules, name, None)

    assert "kind: Job" in dry_run()


def test_every_run_has_a_key_and_a_name_of_its_own(dry_run):
    first, second = (next(yaml.safe_load_all(dry_run("--with-secret"))) for _ in range(2))

    assert first["data"]["key"] != second["data"]["key"]
    assert first["metadata"]["name"] != second["metadata"]["name"]


@pytest.mark.parametrize("words", [(), ("--with-secret",)])
def test_json_has_the_same_objects(dry_run, words):
    found = json.loads(dry_run("--env", f"TOKEN={CANARY}", "--output", "json", *words))
    kinds = [one["kind"] for one in checked(found["data"]["objects"])]

    assert (found["command"], found["status"], found["exit_code"]) == ("launch", "planned", 0)
    assert kinds == ["Secret"] * len(words) + ["ConfigMap", "Service", "Job"]
    assert CANARY not in json.dumps(found)


def test_what_is_printed_is_a_launch_and_not_a_dry_run(dry_run):
    request = request_of(yaml.safe_load_all(dry_run("--with-secret", "--master-port", "auto")))

    assert set(request) == {"arguments", "agents_seconds"}
    assert request["agents_seconds"] == 300
    arguments = request["arguments"]
    assert arguments["proof"] is True and "dry_run" not in arguments
    assert (arguments["work"], arguments["nnodes"]) == (["train.py", "--lr", "1"], 2)
    assert (arguments["master_port"], arguments["skip"]) == ("auto", ["machine"])
    assert not [name for name in arguments if name.startswith(("k8s_", "slurm_"))]
    assert os.getcwd() not in json.dumps(request) and sys.executable not in json.dumps(request)


def test_a_check_is_the_same_with_another_order():
    wanted = {"madctl_nnodes": 2, "madctl_k8s_image": "i", "madctl_env": {}, "madctl_shape": "script"}

    assert request_of(kubernetes_draft.draft(wanted, "check").objects())["only"] == "check"


# -- a script that is sent ------------------------------------------------------------------------------------


def test_a_script_is_sent_and_started_where_pods_find_it(dry_run, tmp_path):
    (tmp_path / "train.py").write_bytes(b"print('\xff')")
    objects = checked(list(yaml.safe_load_all(dry_run("--send-script", "--with-secret"))))
    volumes = objects[3]["spec"]["template"]["spec"]["volumes"]

    assert decoded(objects[1]["binaryData"]["script"]) == b"print('\xff')"
    assert volumes[0]["configMap"]["items"][-1] == {"key": "script", "path": "train.py"}
    assert request_of(objects)["arguments"]["work"] == ["/madctl/train.py", "--lr", "1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.py"], "--send-script: no.py: no such file or directory; leave it out if the image has it"),
        (["."], "--send-script needs a script that Python or a shell runs; write: train.py"),
        (["-m", "train"], "--send-script needs a script that Python or a shell runs; write: train.py"),
        (["large.py"], "--send-script: large.py has more than 262144 bytes; put it in the image, or on a volume"),
        (["a/pod.json.py"], None),
        (["python3", "./madctl_pod.py"], "--send-script: ./madctl_pod.py cannot have that name in /madctl; rename it"),
    ],
)
def test_a_script_that_cannot_be_sent(words, said, tmp_path, capsys):
    (tmp_path / "a").mkdir()
    for name, size in (("large.py", (256 << 10) + 1), ("a/pod.json.py", 256 << 10), ("madctl_pod.py", 1)):
        (tmp_path / name).write_bytes(bytes(size))
    code = cli.main(["launch", *NEEDED, "--dry-run", "--send-script", "--", *words])

    assert (code, capsys.readouterr().err) == ((2, f"madctl: {said} [USAGE]\n") if said else (0, ""))


def test_what_is_too_large_for_a_cluster_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("LARGE", "x" * (1 << 20))

    assert cli.main(["launch", *NEEDED, "--dry-run", "--env", "LARGE", "--", "train.py"]) == 2
    assert "and a cluster takes no more than 1048576; pass less by --env" in capsys.readouterr().err


# -- text that every reader of YAML takes for text --------------------------------------------------------------

ODD = (
    "1e3",
    "1_000",
    "0o14",
    "0x1F",
    "12:30:45",
    "2026-12-01",
    "y",
    "N",
    "yes",
    "On",
    "null",
    "~",
    ".inf",
    "=",
    "",
    "-",
    "a: b",
)


@pytest.mark.parametrize("text", ODD)
def test_a_text_that_some_reader_takes_for_something_else_is_quoted(text):
    written = yaml.dump({"key": text}, Dumper=kubernetes_draft._Dumper)

    assert written == f'key: "{text}"\n'
    assert yaml.safe_load(written) == {"key": text}


@pytest.mark.parametrize("text", ["train", "/madctl/a.py", "two words"])
def test_a_plain_text_is_not_quoted(text):
    assert yaml.dump({"key": text}, Dumper=kubernetes_draft._Dumper) == f"key: {text}\n"


def test_what_is_used_twice_is_written_twice():
    twice = {"x": 1}

    assert "*" not in yaml.dump([twice, twice], Dumper=kubernetes_draft._Dumper)


def test_the_values_of_the_environment_are_never_in_an_error(capsys, monkeypatch):
    monkeypatch.setenv("TOKEN", CANARY)
    with pytest.raises(UsageError) as caught:
        kubernetes_draft.draft({"madctl_nnodes": 0, "madctl_env": {"TOKEN": CANARY}, "madctl_shape": "script"})

    assert CANARY not in str(caught.value)
