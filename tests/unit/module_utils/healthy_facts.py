# SPDX-License-Identifier: Apache-2.0
"""Facts of healthy nodes for tests of judges: two networks, eight GPUs, one Python."""

import copy


def interface(name, address=None, prefix=24, **more):
    addresses = [{"address": address, "prefix": prefix}] if address else []
    fields = {"flags": ["UP", "RUNNING"], "mtu": 9000, "physical": True, "bridge": False, "bond": False, "master": None}
    kinds = {"kind": None, "peer": None, "rdma": False, "vrf": False}
    return {"name": name, "addresses": addresses, **fields, **kinds, "lower": [], **more}


def report(**more):
    build = {"version": "2.13.0", "hip": "7.1"}
    return {"version": "3.11.7", "torch": True, "packages": {}, "torch_build": build, **more}


def node(number, **more):
    """Return facts as ``node_info`` returns them, of node ``number``."""
    facts = {
        "hostname": f"n{number}",
        "machine_id": f"m{number}",
        "boot_id": f"b{number}",
        "kernel": "6.1.0",
        "user_id": 0,
        "group_id": 0,
        "home": "/root",
        "interpreter": "/usr/bin/python3",
        "ifconfig": "/sbin/ifconfig",
        "management_address": f"192.0.2.{number}",
        "gpus": {"vendor": "amd", "count": 8, "models": ["MI300X"] * 8, "driver": "6.12", "holders": []},
        "port": {"number": 29500, "error": None, "free": 40000, "holder": None},
        "privileged_below": 1024,
        "limits": {"memlock": None, "nofile": 65536},
        "space": {
            "run_base": "/var/tmp/madctl-0",
            "run_free": 1 << 40,
            "run_inodes_free": 1 << 20,
            "run_writable": True,
            "shm_free": 1 << 36,
        },
        "nccl_files": {},
        "locked_by": None,
        "names": [f"198.51.100.{number}"],
        "mpi": None,
        "mounts": [],
        "python": {
            "wanted": "/opt/python",
            "wanted_exists": True,
            "wanted_report": report(),
            "own": "/usr/bin/python3",
            "own_exists": True,
            "own_report": None,
            "mpi": None,
        },
        "files": {"chdir_exists": True, "entry_exists": True, "entry_sha256": "aa", "program_fault": None},
        "time": {"begun": 100.0, "ended": 100.1, "sent": 99.9, "received": 100.2},
        "interfaces": [
            interface("lo", "127.0.0.1", 8, flags=["UP", "RUNNING", "LOOPBACK"]),
            interface("docker0", "172.17.0.1", 16, bridge=True, physical=False),
            interface("eno1", f"192.0.2.{number}"),
            interface("ib0", f"198.51.100.{number}"),
        ],
    }
    return {**facts, **more}


def changed(number, *path_and_value):
    """Return a node's facts with one nested value changed."""
    *path, last, value = path_and_value
    facts = copy.deepcopy(node(number))
    place = facts
    for key in path:
        place = place[key]
    place[last] = value
    return facts
