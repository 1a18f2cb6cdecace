# SPDX-License-Identifier: Apache-2.0
"""Runs that a report is about, made up: of any size, that succeed, fail, restart, or lose a node."""

from madctl.errors import Problem
from madctl.records.run_record import Record
from madctl.records.run_story import Entry
from madctl.report.facts import Facts, Log

RUN = "20261125-160140-6c9f15f1"
BEGAN = 1_795_000_000.0
ROW = dict.fromkeys(("reach", "network", "versions", "proof"), "ok")
TRACE = ["Traceback (most recent call last):", '  File "train.py", line 96', "ValueError: loss is nan"]


def record(nodes=2, ranks=2, **changes):
    names = [f"gpu{number + 1:02d}" for number in range(nodes)]
    parts = [
        {"host": host, "node_rank": at, "address": f"10.82.1.{at + 11}", "interface": "eth0", "nproc_per_node": ranks}
        for at, host in enumerate(names)
    ]
    plan = {"run_id": RUN, "runner": "torchrun", "shape": "script", "master_addr": "10.82.1.11", "master_port": 29500}
    plan.update(nnodes=nodes, world_size=nodes * ranks, nodes=parts)
    targets = {"names": names, "inventory": {}, "sources": []}
    return Record(RUN, BEGAN, ["train.py"], targets, plan, **changes)


def story(names, ranks, at=0.0, attempt=1):
    """Return the start of one attempt: probed after 1 s, ready after 2, begun after 3, joined from 4 to 5."""

    def entry(after, event, **fields):
        return Entry(BEGAN + at + after, attempt, {"event": event, **fields})

    found = []
    if attempt == 1:
        found = [entry(1.0, "probed", host=host, answered=True) for host in names]
        planned = {"checks": [{"hosts": list(names), "row": ROW}], "prints": [{"hosts": list(names), "row": PRINT}]}
        found.append(entry(1.1, "planned", since=BEGAN, warnings=[], found=planned))
    found += [entry(2.0, "ready", host=host) for host in names]
    found += [entry(3.0, "started", host=host, seq=2) for host in names]
    for at_node, host in enumerate(names):
        for own in range(ranks):
            found.append(entry(4.0 + own / ranks, "joined", host=host, rank=at_node * ranks + own, seq=3 + own))
    return found


PRINT = {"python": "3.11.7", "torch": "2.13.0", "gpus": {"vendor": "nvidia", "count": 8}, "gpu_models": ["H200"] * 8}


def end(names, ranks, at, failed=None, attempt=1):
    """Return the end of one attempt: all ranks end well, or one fails and the others are stopped a second later."""
    found = []
    for at_node, host in enumerate(names):
        own = range(at_node * ranks, at_node * ranks + ranks)
        for rank in own:
            if failed in (None, rank):
                how = {"exit_code": 0 if failed is None else 1, "signal": None}
                found.append(Entry(BEGAN + at, attempt, {"event": "rank_exit", "host": host, "rank": rank, **how}))
        how = {"outcome": "exited", "exit_code": 0 if failed is None else 1, "signal": None}
        how["stopped"] = failed is not None and failed not in own
        found.append(Entry(BEGAN + at + 1.0, attempt, {"event": "exit", "host": host, "seq": 99, **how}))
    return found


def run(status="succeeded", took=60.0, **changes):
    known = {"run_id": RUN, "name": None, "note": None, "status": status, "cause": None, "exit_code": 0}
    known.update(ended=BEGAN + took, duration_seconds=took, ranks_joined=None, created=BEGAN, attempts=1)
    return {**known, "world_size": 4, "hosts": [], "work": "train.py", **changes}


def logs(names, ranks, lines=("epoch 1",), failed=None):
    every = [(host, str(at * ranks + own)) for at, host in enumerate(names) for own in range(ranks)]
    found = [Log(host, rank, "stdout", list(lines)) for host, rank in every]
    return found + [Log(host, rank, "stderr", TRACE) for host, rank in every if rank == str(failed)]


def answers(names, ranks):
    how = {"outcome": "exited", "exit_code": 0, "signal": None, "stopped": False}
    return {host: {"state": "exited", "joined": ranks, "exit": how} for host in names}


def succeeded(nodes=2, ranks=2):
    known = record(nodes, ranks, status="succeeded", ended=BEGAN + 60)
    names = known.targets["names"]
    told = story(names, ranks) + end(names, ranks, 59.0)
    return Facts(known, run(), BEGAN + 99, None, None, answers(names, ranks), told, logs(names, ranks))


def failed(nodes=2, ranks=2, rank=3, **changes):
    known = record(nodes, ranks, status="failed", ended=BEGAN + 60, **changes)
    names = known.targets["names"]
    host = names[rank // ranks]
    about = run("failed", cause=f"{host} rank {rank}: exit code 1: ValueError: loss is nan", exit_code=6)
    told = story(names, ranks) + end(names, ranks, 59.0, rank)
    return Facts(known, about, BEGAN + 99, host, rank, answers(names, ranks), told, logs(names, ranks, failed=rank))


def restarted():
    """Return a run of two nodes whose second one is replaced in attempt 2, and is silent for a while."""
    known = record(2, 2, status="succeeded", ended=BEGAN + 200, attempts=2)
    names = known.targets["names"]
    old = [names[0], "gpu09"]
    after = {"code": "RANK_FAILED", "host": "gpu09", "rank": 2, "message": "rank 2 failed: exit code 1"}
    again = {"event": "restart", "attempt": 1, "of": 3, "replaced": {"gpu09": names[1]}, "after": after}
    told = story(old, 2) + end(old, 2, 50.0, 2) + [Entry(BEGAN + 60, 2, again)]
    told += story(names, 2, 60.0, 2) + end(names, 2, 198.0, attempt=2)
    told += [Entry(BEGAN + at, 2, {"event": kind, "host": names[1]}) for at, kind in ((100, "suspect"), (120, "back"))]
    return Facts(known, run(took=200.0, attempts=2), BEGAN + 300, None, None, answers(names, 2), told, logs(names, 2))


def lost():
    """Return a run of two nodes whose second one falls silent and is given up."""
    known = record(2, 2, status="failed", ended=BEGAN + 60)
    names = known.targets["names"]
    told = story(names, 2) + end(names[:1], 2, 58.0, 99)
    told += [Entry(BEGAN + 40, 1, {"event": "suspect", "host": names[1]})]
    told += [Entry(BEGAN + 57, 1, {"event": "lost", "host": names[1], "message": "no node reaches it any more"})]
    about = run("failed", cause=f"{names[1]}: no node reaches it any more", exit_code=7)
    missing = [Problem("NODE_SILENT", "it did not answer in 25 s", names[1], "check that it is up")]
    own = answers(names[:1], 2)
    return Facts(known, about, BEGAN + 99, names[1], None, own, told, logs(names[:1], 2), missing)


def bare():
    """Return a run of which only the record is known."""
    about = run("unknown", cause="no answer from gpu01, gpu02", exit_code=None, ended=None, duration_seconds=None)
    missing = [Problem("NODE_SILENT", "it did not answer in 25 s", host) for host in ("gpu01", "gpu02")]
    return Facts(record(status="unknown"), about, BEGAN + 99, missing=missing)


def running():
    known = record(status="running")
    names = known.targets["names"]
    about = run("running", exit_code=None, ended=None, duration_seconds=30.0)
    return Facts(known, about, BEGAN + 30, None, None, answers(names, 2), story(names, 2), logs(names, 2))


CASES = {case.__name__: case for case in (succeeded, failed, restarted, lost, bare, running)}
