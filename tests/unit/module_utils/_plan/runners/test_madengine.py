# SPDX-License-Identifier: Apache-2.0
"""madengine's context and command line, and what nodes need for it."""

import ast
import shlex

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._plan.checks import context as context_check
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import madengine
from ansible_collections.madctl.multinode.plugins.module_utils._request import madengine_options
from tests import hostile
from tests.unit.module_utils.healthy_facts import node
from tests.unit.module_utils.plans import codes, make


@pytest.mark.parametrize(
    "text", ["{'a': 'x\\'y', 'b': None, 'c': True}", '{"a": "x\'y", "b": null, "c": true}'], ids=["python", "json"]
)
def test_a_context_is_python_or_json(text):
    assert madengine_options.parse(text) == {"a": "x'y", "b": None, "c": True}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "'x'",
        "f()",
        "{" * 5000,
        "1 if True else 2",
        '{"docker_env_vars": [1]}',
        "{'multi_node_args': 'x'}",
    ],
)
def test_what_is_no_mapping_is_refused(text):
    with pytest.raises(ValueError, match="not a mapping"):
        madengine_options.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("madengine 1.0.0", 1), ("CLI v2.1.0.dev3", 2), ("", None), (None, None), ("unknown", None)]
)
def test_versions(text, expected):
    assert madengine.major(text) == expected


def test_the_users_values_win_but_for_ranks():
    own = {"x": 1, "multi_node_args": {"NNODES": 7, "MASTER_PORT": 6006}, "docker_env_vars": {"A": "b"}}
    merged = madengine.context(own, {"NNODES": 2, "NODE_RANK": 1, "MASTER_PORT": 29500}, {"MADCTL_RUN_ID": "r"})

    assert merged == {
        "x": 1,
        "multi_node_args": {"NNODES": 2, "NODE_RANK": 1, "MASTER_PORT": 6006},
        "docker_env_vars": {"A": "b", "MADCTL_RUN_ID": "r"},
        "encapsulate_script": "/myworkspace/.madctl/model",
    }
    wrapped = madengine.context({"encapsulate_script": "perf record"}, {}, {})
    assert wrapped["encapsulate_script"] == "perf record /myworkspace/.madctl/model"
    assert ast.literal_eval(repr(merged)) == merged
    assert [entry["code"] for entry in context_check.overridden(own)] == ["CONTEXT_REPLACED", "CONTEXT_KEPT"]


def engine(**more):
    found = {
        "program": "/usr/bin/madengine",
        "version": "madengine 1.0.0",
        "silent": False,
        "broken": None,
        "runtime": "/usr/bin/docker",
    }
    return {**found, "trouble": None, "containers": [], "gpu_tool": "/usr/bin/rocm-smi", **more}


CARD = {"name": "m", "scripts": "scripts/m/run.sh", "timeout": None, "uses_runner": True}
LEFT = {"name": "container_x", "created": "2026-01-01", "run_id": None}
IN_THE_WAY = {**LEFT, "name": "old_container_m_x"}
OURS = {**LEFT, "run_id": "long-ago"}
CASES = {
    "all well": (engine(), {}, []),
    "none": (engine(program=None, version=None), {}, [("MADENGINE_MISSING", "n2")]),
    "broken": (engine(version=None, broken="No such file"), {}, [("MADENGINE_BROKEN", "n2")]),
    "hung": (None, {}, [("MADENGINE_HUNG", "n2")]),
    "another version": (engine(version="2.0"), {}, [("MADENGINE_MIXED", "n2")]),
    "no answer": (engine(version=None, silent=True), {}, [("MADENGINE_HUNG", "n2")]),
    "no version": (engine(version=None), {}, []),
    "no docker": (engine(runtime=None), {}, [("RUNTIME_MISSING", "n2")]),
    "docker refuses": (engine(trouble="permission denied"), {}, [("RUNTIME_UNUSABLE", "n2")]),
    "no tool": (engine(gpu_tool=None), {}, [("GPU_TOOL_MISSING", "n2")]),
    "left": (engine(containers=[LEFT]), {}, [("CONTAINER_LEFT", "n2")]),
    "left, not ours": (engine(containers=[LEFT]), {"replace_containers": ("",)}, [("CONTAINER_LEFT", "n2")]),
    "left, ours": (engine(containers=[OURS]), {"replace_containers": ("",)}, []),
    "in the way of version 1": (engine(containers=[IN_THE_WAY]), {}, [("CONTAINER_LEFT", "n2")]),
    "in the way of an image": (
        engine(containers=[{**LEFT, "name": "x_container_rocm_pytorch_latest"}]),
        {"additional_context": ({"MAD_CONTAINER_IMAGE": "rocm/pytorch:latest"},)},
        [("CONTAINER_LEFT", "n2")],
    ),
    "in the way, replaced": (engine(containers=[IN_THE_WAY]), {"replace_containers": ("old_container_m_x",)}, []),
    "not in the way": (engine(containers=[{**LEFT, "name": "my_container_db"}]), {}, []),
    "left, named": (engine(containers=[LEFT]), {"replace_containers": ("container_x",)}, []),
    "skipped": (engine(runtime=None, gpu_tool=None), {"skip": ("madengine",)}, []),
    "mirror without storage": (engine(), {"force_mirror_local": "/nfs/x"}, [("MIRROR_UNPROVEN", None)]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_node_needs(case):
    found, request, expected = CASES[case]
    entries = [engine(), found, engine()]
    facts = [node(number, madengine=entry, models=[CARD]) for number, entry in enumerate(entries, 1)]

    assert codes(make(facts, shape="model", work=(), tags=("m",), **request)) == expected


def planned(*versions, cards=(), **request):
    """Plan models on nodes with these versions, and cards of a checkout."""
    facts = [
        node(number, madengine=engine(version=version), models=list(cards))
        for number, version in enumerate(versions, 1)
    ]
    return make(facts, **{"shape": "model", "work": (), "tags": ("m",), **request})


def words(outcome, node=0):
    return outcome.plan["nodes"][node]["model"]["argv"]


def notices(outcome):
    return [(entry["code"], entry["host"]) for entry in outcome.warnings if entry["code"].startswith("M")]


@pytest.mark.parametrize("order", [("1.0.0", "2.1.0"), ("2.1.0", "1.0.0")])
def test_one_of_each_version_names_both(order):
    (found,) = planned(*order).problems

    assert (found["code"], found["host"]) == ("MADENGINE_MIXED", "n2")
    assert found["message"] == f"madengine is version {order[1]}, most nodes have {order[0]}"


def test_a_node_that_does_not_say_its_version_is_never_mixed():
    found = planned("2.1.0", None, tags=("a", "b"))

    assert (found.problems, notices(found)) == ([], [("MADENGINE_UNKNOWN", "n2")])
    assert [words(found, rank)[2:6] for rank in (0, 1)] == [["--tags", "a", "--tags", "b"]] * 2
    assert notices(planned(None, None)) == [("MADENGINE_UNKNOWN", "n1"), ("MADENGINE_UNKNOWN", "n2")]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0.0", ["--tags", "a", "b", "--additional-context"]),
        (None, ["--tags", "a", "b", "--additional-context"]),
        ("2.1.0", ["--tags", "a", "--tags", "b", "--additional-context"]),
    ],
)
def test_tags_are_written_as_each_version_takes_them(version, expected):
    found = words(planned(version, version, tags=("a", "b")))

    assert found[2 : 2 + len(expected)] == expected


@pytest.mark.parametrize(
    ("cards", "work", "expected"),
    [
        ([], (), ["--live-output", "--timeout", "31536000"]),
        ([CARD], (), ["--live-output", "--timeout", "31536000"]),
        ([CARD, {**CARD, "timeout": 8}], (), ["--live-output"]),
        ([], ("--timeout", "8"), ["--live-output", "--timeout", "8"]),
        ([], ("--timeout=8",), ["--live-output", "--timeout=8"]),
        ([], ("--live-output", "--ti", "8"), ["--live-output", "--ti", "8"]),
    ],
)
def test_no_limit_but_the_users_and_the_cards(cards, work, expected):
    found = words(planned("1.0.0", "1.0.0", cards=cards, work=work))

    assert found[found.index("--additional-context") + 2 :] == expected


def test_contexts_are_merged_as_each_version_does():
    layers = (
        {"docker_env_vars": {"A": 1}, "deep": {"x": {"y": 1}}},
        {"docker_env_vars": {"B": 2}, "deep": {"x": {"z": 2}}},
    )
    first, second, unknown = (
        ast.literal_eval(words(planned(version, version, additional_context=layers))[5])
        for version in ("1.0.0", "2.1.0", None)
    )

    marks = {"MADCTL_RUN_ID": "r", "MADCTL_ATTEMPT": "0", "MADCTL_RESTART_COUNT": "0"}
    assert first["docker_env_vars"] == {"A": 1, "B": 2, **marks}
    assert first["deep"] == {"x": {"y": 1, "z": 2}}
    assert second["docker_env_vars"] == {"B": 2, **marks}
    assert (second["deep"], unknown["deep"]) == ({"x": {"z": 2}}, first["deep"])


UNSAFE = {
    "apostrophe": {"docker_env_vars": {"A": "it's"}},
    "a command": {"docker_env_vars": {"A": "'; touch /tmp/x; '"}},
    "nested": {"docker_env_vars": {"A": {"b": ["c"]}}},
    "its name": {"docker_env_vars": {"A;id": "x"}},
    "a build argument": {"docker_build_arg": {"A": "it's"}},
    "the runner's": {"multi_node_args": {"NCCL_SOCKET_IFNAME": "e'n"}},
    "of a tool": {"tools": [{"name": "x", "env_vars": {"A": "it's"}}]},
    "a mount": {"docker_mounts": {"/data": "/nfs; id"}},
    "two mounts": {"docker_mounts": {"/data": "/nfs -v /:/host"}},
    "an image": {"MAD_CONTAINER_IMAGE": "x`id`"},
    "memory": {"SHM_SIZE": "1G --privileged"},
    "processors": {"docker_cpus": "0-3;id"},
    "an open quote": {"model_args": "it's"},
    "a double quote": {"model_args": '"a b"'},
    "a substitution": {"model_args": "$(id)"},
    "another": {"model_args": "`id`"},
    "a second line": {"model_args": "a\nb"},
    "a wrapper": {"encapsulate_script": 'x "y'},
    "a script": {"pre_scripts": [{"path": "a.sh", "args": "$(id)"}]},
}


@pytest.mark.parametrize("case", UNSAFE)
def test_what_version_1_would_paste_into_a_shell_is_refused(case):
    found = planned("1.0.0", "1.0.0", additional_context=(UNSAFE[case],))

    assert codes(found) == [("CONTEXT_UNSAFE", None)]
    assert planned("2.1.0", "2.1.0", additional_context=(UNSAFE[case],)).problems == []


def test_other_ways_into_that_shell_are_refused_too():
    secret = {"env": {"MAD_SECRETS_HFTOKEN": "it's"}}

    assert codes(planned("1.0.0", "1.0.0", **secret)) == [("CONTEXT_UNSAFE", None)]
    assert "it's" not in planned("1.0.0", "1.0.0", **secret).problems[0]["message"]
    assert codes(planned("1.0.0", "1.0.0", tags=("m:x=$(id)",))) == [("CONTEXT_UNSAFE", None)]
    assert ("CONTEXT_UNSAFE", None) in codes(planned("1.0.0", "1.0.0", force_mirror_local="/nfs/my data"))


SAFE = {
    "quotes": {"docker_env_vars": {"A": '"x" $(id) `id` {{ y }} \\ \n', "B": None, "C": True, "D": 1.5}},
    "lists": {"docker_env_vars": {"A": [1, 2]}},
    "mounts": {"docker_mounts": {"/data": "$HOME/data-1_2.3", "/x": "~/x"}},
    "images": {"MAD_CONTAINER_IMAGE": "registry.example:5000/rocm/x@sha256:00"},
    "processors": {"docker_cpus": "0-3, 8"},
    "words": {"model_args": "--a 'b c' --d=e \\$HOME"},
    "a wrapper": {"encapsulate_script": "bash wrap.sh -x"},
    "other types": {"tools": "x", "docker_mounts": 1, "model_args": None, "docker_build_arg": []},
}


@pytest.mark.parametrize("case", SAFE)
def test_what_version_1_passes_on_is_left_alone(case):
    assert planned("1.0.0", "1.0.0", additional_context=(SAFE[case],)).problems == []


@pytest.mark.parametrize(
    ("tags", "given", "reason"),
    [
        (["m"], ["--keep-alive"], "--keep-alive"),
        (["m"], ["--keep-al"], "--keep-alive"),
        (["m"], ["--tags", "x"], "--tags"),
        (["m"], ["-t", "x"], "--tags"),
        (["m"], ["--additional-context", "{}"], "--additional-context"),
        (["m"], ["--additional-context={}"], "--additional-context"),
        (["m"], ["-c{}"], "--additional-context"),
        (["m"], ["--additional-context-f", "x"], "--additional-context-file"),
        (["m"], ["--force-mirror-local=/x"], "--force-mirror-local"),
        (["m"], ["--output", "/nfs/res.csv"], "--output"),
        (["m"], ["-o", "../res.csv"], "--output"),
        (["m"], ["-o/res.csv"], "--output"),
        (["--keep-alive"], [], "tag"),
        (["a", ""], [], "tag"),
        (["a\x1b[2J"], [], "tag"),
    ],
)
def test_words_that_would_undo_the_plan_are_refused(tags, given, reason):
    (found,) = madengine_options.refused(tags, given)

    assert reason in found[0]
    assert "\x1b" not in found[0]


def test_other_words_are_the_users():
    given = ["--keep-model-dir", "--skip-model-run", "-o", "sub/res.csv", "--timeout", "8", "--manifest-file", "m.json"]

    assert madengine_options.refused(["a:b=c", "dir/m", "A,B"], given) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "perf.csv"),
        (["-o", "a.csv"], "a.csv"),
        (["-oa.csv"], "a.csv"),
        (["-o=a.csv"], "a.csv"),
        (["--output=a.csv"], "a.csv"),
        (["--out", "a.csv"], "a.csv"),
        (["-o", "a.csv", "--output", "b.csv"], "b.csv"),
        (["-o"], "perf.csv"),
    ],
)
def test_the_table_is_where_it_was_asked_for(given, expected):
    assert madengine_options.table(given) == expected
    assert planned("1.0.0", "1.0.0", work=tuple(given)).plan["nodes"][1]["model"]["table"] == expected


def test_a_script_without_the_runner_is_a_warning():
    cards = [CARD, {**CARD, "name": "x", "uses_runner": False}, {**CARD, "name": "y", "uses_runner": None}]
    found = planned("1.0.0", "1.0.0", cards=cards)

    assert (found.problems, notices(found)) == ([], [("MODEL_ALONE", None)])
    assert notices(planned("1.0.0", cards=cards)) == []


@pytest.mark.parametrize(("request_", "expected"), [({}, None), ({"nproc_per_node": "2"}, 2), ({"slots": (3, 3)}, 3)])
def test_what_madctl_cannot_count_madengine_counts(request_, expected):
    gpus = {"vendor": None, "count": 0, "models": [], "driver": None, "holders": []}
    facts = [node(number, madengine=engine(), gpus=gpus) for number in (1, 2)]
    found = make(facts, shape="model", work=(), tags=("m",), **request_)

    assert ast.literal_eval(words(found)[5])["multi_node_args"].get("MAD_RUNTIME_NGPUS") == expected


def test_the_shares_of_two_nodes():
    plan = make(
        [node(1, madengine=engine()), node(2, madengine=engine())], shape="model", work=("-v",), tags=("m",)
    ).plan
    argv = plan["nodes"][1]["model"]["argv"]

    assert plan["nodes"][1]["argv"] == [
        "/usr/bin/python3",
        "-I",
        "-S",
        "/var/tmp/madctl-0/r/bin/madctl_node.py",
        "madengine_wrapper",
    ]
    assert (argv[:5], argv[6:]) == (
        ["/usr/bin/madengine", "run", "--tags", "m", "--additional-context"],
        ["--live-output", "--timeout", "31536000", "-v"],
    )
    assert ast.literal_eval(argv[5])["multi_node_args"] == {
        "RUNNER": "torchrun",
        "MAD_RUNTIME_NGPUS": 8,
        "NNODES": 2,
        "NODE_RANK": 1,
        "MASTER_ADDR": "198.51.100.1",
        "MASTER_PORT": 29500,
        "HOST_LIST": "",
        "NCCL_SOCKET_IFNAME": "ib0",
        "GLOO_SOCKET_IFNAME": "ib0",
    }
    assert plan["nodes"][1]["env"]["MAD_COLLECT_METRICS"] == "false"
    assert "MAD_COLLECT_METRICS" not in plan["nodes"][0]["env"]


@pytest.mark.parametrize("text", hostile.LANGUAGES.values(), ids=hostile.LANGUAGES)
def test_hostile_names_are_shown_without_harm(text):
    context = {"docker_env_vars": {text: "it's"}, "docker_mounts": {text: ";"}}
    found = planned("1.0.0", "1.0.0", additional_context=(context,), tags=(text,))

    assert found.problems
    assert all(hostile.is_harmless(entry["message"]) for entry in found.problems)
    assert all(
        hostile.is_harmless(message) for message, _ in madengine_options.refused([text], [text, "-o", "/" + text])
    )


@pytest.mark.fuzz
def test_what_is_let_through_is_one_word_to_a_shell(rounds):
    """Version 1 pastes it like this; Python's reader of shell words is the judge."""
    samples = [text.encode() for text in [*hostile.LANGUAGES.values(), "plain", "$HOME/x", "a 'b c'", '{"a": 1}']]
    let_through = 0
    for data in hostile.mutated(samples, rounds // 4):
        text = data.decode("utf-8", "replace")
        context = {"docker_env_vars": {"A": text}, "docker_mounts": {"/x": text}}
        refused = {entry["message"].split(" ")[0] for entry in context_check.unsafe(context, (), None, {})}
        if "A" not in refused:
            let_through += 1
            assert shlex.split("--env A='%s' " % text) == ["--env", "A=" + text]
        if "/x" not in refused:
            assert shlex.split("-v %s:/x " % text) == ["-v", text + ":/x"]
    assert let_through > rounds // 100
