# SPDX-License-Identifier: Apache-2.0
"""Kinds of MPI by their output, mpirun's command line and environment, and the seal of a request."""

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._follow import mpi_daemons
from ansible_collections.madctl.multinode.plugins.module_utils._follow.run_outcome import NodeRun
from ansible_collections.madctl.multinode.plugins.module_utils._plan.runners import mpirun
from ansible_collections.madctl.multinode.plugins.module_utils._supervise import mpi_relay
from tests.unit.module_utils.healthy_facts import node
from tests.unit.module_utils.plans import codes, make

TEXTS = {
    "Open MPI 4.1.4": "mpirun.openmpi (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/",
    "Open MPI 5.0.11": "mpirun (Open MPI) 5.0.11\n\nReport bugs",
    "MPICH 4.0.2": "HYDRA build details:\n    Version:                                 4.0.2\n    Release Date: 2022",
    "Intel MPI 2021.9": "Intel(R) MPI Library for Linux* OS, Version 2021.9 Build 20230307 (id: 82 b3)",
    "MVAPICH 2.3.7": "HYDRA build details:\n    Version: 3.2\n    Configure options: '--prefix=/opt/mvapich2-2.3.7'",
    "unknown": "mpirun: something else",
}


@pytest.mark.parametrize("expected", TEXTS)
def test_kinds_and_versions(expected):
    found = mpirun.recognise({"program": "/m/mpirun", "text": TEXTS[expected]})

    assert str(found) == expected


def test_no_mpi_is_none():
    assert mpirun.recognise(None) is None


def mpi_node(number, text="(Open MPI) 4.1.4", program="/usr/bin/mpirun", **more):
    return node(number, mpi={"program": program, "text": text}, **{"user_id": 7, **more})


OPENMPI = {"text": "(Open MPI) 4.1.4"}
FIVE = {"text": "(Open MPI) 5.0.8", "program": "/o/mpirun"}
MPICH = {"text": TEXTS["MPICH 4.0.2"], "program": "/usr/bin/mpiexec"}


def first_node(mpi, **request):
    """Return the first node's part of a plan for two nodes with three ranks."""
    given = {"runner": "mpirun", "run_dir": "/var/tmp", "slots": (2, 1), **request}
    outcome = make([mpi_node(1, **mpi), mpi_node(2, **mpi)], **given)
    assert outcome.problems == []
    return outcome.plan["nodes"][0]


def variables(mpi, **request):
    """Return the variables that are set for that MPI only."""
    env = first_node(mpi, **request)["env"]
    return {name: value for name, value in env.items() if name.startswith(("OMPI_", "PRTE_", "HYDRA_"))}


def test_command_lines():
    rank = ["/usr/bin/python3", "-I", "-S", "/var/tmp/r/bin/_supervise/rank_wrapper.py"]

    assert first_node(OPENMPI)["argv"] == [
        *["/usr/bin/mpirun", "--host", "198.51.100.1:2,198.51.100.2:1", "-np", "3"],
        *["--bind-to", "none", "--map-by", "slot", *rank],
    ]
    assert first_node(MPICH)["argv"] == [
        *["/usr/bin/mpiexec", "-hosts", "198.51.100.1:2,198.51.100.2:1", "-np", "3", *rank]
    ]


def test_environments():
    agent = "/usr/bin/python3 -I -S /var/tmp/r/bin/_supervise/mpi_agent.py"

    assert variables(OPENMPI) == {
        "OMPI_MCA_plm": "rsh",
        "OMPI_MCA_ras": "^slurm",
        "OMPI_MCA_plm_rsh_agent": agent,
        "OMPI_MCA_plm_rsh_no_tree_spawn": "1",
        "OMPI_MCA_orte_leave_session_attached": "1",
        "OMPI_MCA_oob_tcp_if_include": "198.51.100.0/24",
        "OMPI_MCA_btl_tcp_if_include": "198.51.100.0/24",
    }
    assert variables(FIVE) == {
        "PRTE_MCA_plm": "ssh",
        "PRTE_MCA_ras": "^slurm",
        "PRTE_MCA_plm_ssh_agent": agent,
        "PRTE_MCA_plm_ssh_no_tree_spawn": "1",
        "PRTE_MCA_prte_leave_session_attached": "1",
        "PRTE_MCA_prte_if_include": "198.51.100.0/24",
        "OMPI_MCA_btl_tcp_if_include": "198.51.100.0/24",
    }
    assert variables(MPICH) == {
        "HYDRA_RMK": "user",
        "HYDRA_LAUNCHER": "rsh",
        "HYDRA_LAUNCHER_EXEC": "/usr/bin/python3",
        "HYDRA_LAUNCHER_EXTRA_ARGS": "-I -S /var/tmp/r/bin/_supervise/mpi_agent.py",
        "HYDRA_ENV": "none",
        "HYDRA_IFACE": "ib0",
    }


CONTRADICTIONS = {
    "exclude on the command line": (
        OPENMPI,
        {"mpi_args": ("--mca", "btl_tcp_if_exclude", "lo")},
        "OMPI_MCA_btl_tcp_if_include",
    ),
    "include on the command line": (
        OPENMPI,
        {"mpi_args": ("--mca", "oob_tcp_if_include", "x")},
        "OMPI_MCA_oob_tcp_if_include",
    ),
    "exclude by a variable": (FIVE, {"env": {"OMPI_MCA_btl_tcp_if_exclude": "lo"}}, "OMPI_MCA_btl_tcp_if_include"),
    "exclude of PRRTE": (FIVE, {"mpi_args": ("--prtemca", "prte_if_exclude", "lo")}, "PRTE_MCA_prte_if_include"),
    "interface of Hydra": (MPICH, {"mpi_args": ("-iface", "eth0")}, "HYDRA_IFACE"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_nothing_is_set_where_the_user_says_the_opposite(case):
    mpi, change, name = CONTRADICTIONS[case]

    assert set(variables(mpi)) - set(variables(mpi, **change)) == {name}


def test_root_is_let_through_where_that_is_asked_for():
    more = set(variables(OPENMPI, allow_run_as_root=True)) - set(variables(OPENMPI))

    assert more == {f"{name}_ALLOW_RUN_AS_ROOT{end}" for name in ("OMPI", "PRTE") for end in ("", "_CONFIRM")}


def test_a_plan_for_mpirun_takes_unequal_slots():
    request = {"runner": "mpirun", "allow_run_as_root": True, "slots": (1, 3)}
    plan = make([mpi_node(1), mpi_node(2)], **request).plan

    assert (plan["world_size"], [entry["nproc_per_node"] for entry in plan["nodes"]]) == (4, [1, 3])
    assert plan["nodes"][0]["argv"][2] == "198.51.100.1:1,198.51.100.2:3"
    assert [entry["rank_argv"] for entry in plan["nodes"]] == [["/opt/python", "train.py"]] * 2
    assert [entry["env"]["NPROC_PER_NODE"] for entry in plan["nodes"]] == ["1", "3"]


def test_gpus_per_node():
    facts = [mpi_node(1), mpi_node(2)]
    facts[1]["gpus"] = {**facts[1]["gpus"], "count": 4}
    plan = make(facts, runner="mpirun", allow_run_as_root=True, gpus="per-node").plan

    assert [entry["nproc_per_node"] for entry in plan["nodes"]] == [8, 4]


REFUSALS = {
    "root": (
        [mpi_node(1, user_id=0), mpi_node(2, user_id=0)],
        {"allow_run_as_root": False},
        [("MPI_AS_ROOT", "n1"), ("MPI_AS_ROOT", "n2")],
    ),
    "none": ([mpi_node(1), node(2, user_id=7)], {}, [("MPI_MISSING", "n2")]),
    "another version": ([mpi_node(1), mpi_node(2), mpi_node(3, "(Open MPI) 5.0.1")], {}, [("MPI_MIXED", "n3")]),
    "another user's run directory": ([mpi_node(1), mpi_node(2, user_id=8)], {}, [("MPI_PATH_DIFFERS", "n2")]),
    "a blank in it": ([mpi_node(1)], {"run_dir": "/tmp/a b"}, [("MPI_PATH_DIFFERS", "n1")]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case):
    facts, request, expected = REFUSALS[case]

    assert codes(make(facts, **{"runner": "mpirun", "allow_run_as_root": True, **request})) == expected


# -- the relay's other end ---------------------------------------------------------------------------

KEY = "ab" * 32


def end():
    told = []
    relay = mpi_relay.Relay(
        {
            "key": KEY,
            "address": "198.51.100.2",
            "leads": False,
            "ranks": 1,
            "many": True,
            "hands": False,
            "seconds": 5,
            "places": {},
        },
        "r",
        lambda **event: told.append(event["event"]),
        lambda: False,
    )
    relay.told = told
    return relay


def request(**change):
    fields = {"address": "198.51.100.2", "serial": 1, "command": "/usr/bin/orted -mca x 1"}
    seal = mpi_relay.seal(KEY, "r", *fields.values())
    return {**fields, "seal": seal, **change}


def test_a_genuine_request_is_opened_once():
    relay = end()

    assert relay.opened(request()) == "/usr/bin/orted -mca x 1"
    assert relay.opened(request()) is None
    assert relay.told == ["relay_refused"]


FORGED = {
    "another command": {"command": "/usr/bin/orted; touch /tmp/x"},
    "another node's": {"address": "198.51.100.3"},
    "another number": {"serial": 2},
    "no seal": {"seal": ""},
    "a seal of another key": {"seal": mpi_relay.seal("cd" * 32, "r", "198.51.100.2", 1, "/usr/bin/orted -mca x 1")},
    "another run's": {"seal": mpi_relay.seal(KEY, "s", "198.51.100.2", 1, "/usr/bin/orted -mca x 1")},
    "nonsense": {"serial": None},
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_forged_requests_are_refused(change):
    relay = end()

    assert relay.opened(request(**change)) is None
    assert relay.told == ["relay_refused"]


def test_a_run_that_is_known_by_its_id_alone_has_no_time_to_name():
    told, runs = [], [NodeRun("n1", 0), NodeRun("n2", 1)]
    daemons = mpi_daemons.Daemons({"run_id": "r", "nodes": []}, runs, lambda *order: told.append(order), told.append)
    daemons.late(runs[1], {"daemon": "unasked", "time": 1.0})
    daemons.late(runs[1], {"daemon": "198.51.100.1:4", "time": 1.0})

    assert runs[0].failure["message"] == "mpirun did not ask for the daemon of n2"
    assert runs[1].failure["message"] == "its MPI daemon got no answer from 198.51.100.1:4"


def test_ranks_have_a_time_to_join_from_the_start_and_daemons_of_scripts_from_theirs():
    relay = end()
    relay.ranks = None
    relay.allow(100.0, begins=True)
    assert relay.join_by is None
    relay.allow(100.0, begins=False)
    assert (relay.join_by, relay.look(0, [])) == (105.0, False)

    relay = end()
    relay.allow(100.0, begins=False)
    assert relay.join_by is None
    relay.allow(100.0, begins=True)
    assert (relay.look(0, []), relay.held_up) == (True, "unasked")
    relay.joined(1)
    assert relay.join_by is None
