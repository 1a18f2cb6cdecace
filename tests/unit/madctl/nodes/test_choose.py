# SPDX-License-Identifier: Apache-2.0
"""``--exclude`` leaves hosts out, whatever says who the others are."""

import json

import pytest

from madctl import cli
from madctl.errors import UsageError
from madctl.nodes import choose, inventory
from madctl.request import kubernetes_options, scheduler_options


def parsed(*words):
    return cli.build_parser().parse_args(["check", *words])


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "hosts").write_text("c\na slots=2\nb\n")
    (tmp_path / "site.json").write_text(json.dumps({"all": {"hosts": {"c": {}, "a": {}, "b": {}}}}))
    return {
        "list": (["--hosts", "c,a,b"], {}),
        "file": (["--hostfile", str(tmp_path / "hosts")], {}),
        "inventory": (["-i", str(tmp_path / "site.json")], {}),
        "allocation": ([], {"LSB_HOSTS": "c a b"}),
    }


@pytest.mark.parametrize("source", ["list", "file", "inventory", "allocation"])
def test_hosts_are_left_out_of_every_source(sources, source):
    words, environment = sources[source]
    found = choose.targets(parsed(*words, "--exclude", "a,x"), environment)

    assert found.names == ("c", "b")
    hosts = inventory.group_of(found.inventory)["hosts"]
    assert {name: own["madctl_node_rank"] for name, own in hosts.items()} == {"c": 0, "b": 1}


def test_a_list_that_names_none_of_the_hosts_is_told_and_nothing_else(capsys):
    assert choose.targets(parsed("--hosts", "a,b", "--exclude", "x"), {}).names == ("a", "b")
    assert capsys.readouterr().err == "notice: --exclude names none of the hosts\n"


def test_spares_are_counted_without_what_is_left_out():
    with pytest.raises(UsageError, match="--nnodes 2 exceeds the number of hosts, 1"):
        choose.targets(parsed("--hosts", "a,b", "--exclude", "a", "--nnodes", "2"), {})


def test_in_a_cluster_there_is_nothing_to_leave_out():
    with pytest.raises(UsageError, match="^Kubernetes chooses the nodes of a run, and --exclude names some"):
        kubernetes_options.require(parsed("--on", "k8s", "--exclude", "a"))
    for on in ("ssh", "slurm", "k8s"):
        scheduler_options.refuse_foreign(parsed("--on", on, "--exclude", "a"))
