# SPDX-License-Identifier: Apache-2.0
"""
A table of what a follower receives, frames and silence, and what follows: events, orders and a verdict.

The follower's own loop runs, with a clock and a network of the test: each turn is one step of a row.
"""

import dataclasses
from types import SimpleNamespace

import pytest

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, wire
from ansible_collections.madctl.multinode.plugins.module_utils._follow import (
    follower,
    mpi_daemons,
    run_outcome,
    suspects,
)
from ansible_collections.madctl.multinode.plugins.module_utils._follow.suspects import Links
from tests.unit.module_utils.ways import WAYS

BEGIN = 1000.0
HOSTS = "ab"
STOP, KILL, DUMP = wire.STOP.decode(), wire.KILL.decode(), wire.DUMP.decode()


# -- steps --------------------------------------------------------------------------------------------


def frame(host, event, **fields):
    """One frame of a node; it gets the node's next number if its kind has one."""
    return host, {"event": event, **fields}


def raw(host, data):
    return host, data


def wait(seconds):
    return "wait", seconds


def cut(host):
    return "cut", host


def back(host):
    return "back", host


def user(name, *words):
    """An order of the user."""
    return "call", (name, words)


def ready(host, boot="1"):
    return frame(host, "ready", boot_id=boot)


def joined(host, **fields):
    return frame(host, "joined", **{"rank": HOSTS.index(host), **fields})


def rank_exit(host, code=0, **fields):
    return frame(host, "rank_exit", **{"rank": HOSTS.index(host), "exit_code": code, "signal": None, **fields})


def exits(host, code=0, **fields):
    return frame(host, "exit", **{"outcome": "exited", "exit_code": code, "signal": None, **fields})


def output(offset, text):
    return frame("a", "log", log="rank-0.out", offset=offset, text=text)


def begins(*hosts):
    """Nodes get ready and start, and the rank of each joins."""
    return [step(host) for step in (ready, lambda host: frame(host, "started"), joined) for host in hosts]


def ends(host, code=0):
    return [rank_exit(host, code), exits(host, code)]


BEGUN = begins(*HOSTS)
TOLD = "ready a, ready b, started a, started b, joined a, joined b"
SUSPECTED = [*BEGUN, cut("b"), wait(41)]
OTHER_WORLD = {"rank": 0, "world_size": 1}
BY_USER = codes.problem("INTERRUPTED", None, "interrupted")


@dataclasses.dataclass
class Row:
    """What happens, and the expected result: events after those of a normal start, problems, orders by node."""

    steps: list
    events: str
    verdict: str
    orders: dict = dataclasses.field(default_factory=dict)
    # Whether the follower still waits after the last step.
    waits: bool = False
    shape: str = "script"
    runner: str = "torchrun"
    idle: float | None = None
    # What a sweep of a node finds.
    left: tuple = ()
    # What another node reports of a silent one.
    alive: bool | None = None
    how: dict = dataclasses.field(default_factory=dict)


ROWS = {
    "success": Row([*BEGUN, *ends("a"), *ends("b")], "rank_exit a, exit a, rank_exit b, exit b", ""),
    "success, one node after the other": Row(
        [*begins("a"), *begins("b"), *ends("b"), *ends("a")],
        "ready a, started a, joined a, ready b, started b, joined b, rank_exit b, exit b, rank_exit a, exit a",
        "",
    ),
    "output, in overlapping pieces": Row(
        [
            *BEGUN,
            output(0, "hello "),
            output(3, "lo you"),
            output(0, "hel"),
            *ends("a"),
            *ends("b"),
        ],
        "log a hello , log a you, rank_exit a, exit a, rank_exit b, exit b",
        "",
    ),
    "a kind of a later version": Row(
        [*BEGUN, frame("a", "warmed_up", degrees=40), *ends("a"), *ends("b")],
        "rank_exit a, exit a, rank_exit b, exit b",
        "",
    ),
    # -- failures ------------------------------------------------------------------------------------
    "the first node fails": Row(
        [*BEGUN, *ends("a", 3), rank_exit("b", 15, stopping=True), exits("b", 15, stopped=True, reason="stopped")],
        "rank_exit a, stopping, exit a, exit b",
        "RANK_FAILED a",
        {"a": STOP, "b": STOP},
    ),
    "the second fails, and the first loses its peer": Row(
        [*BEGUN, rank_exit("b", 3), rank_exit("a", 1), exits("b", 3), exits("a", 1)],
        "rank_exit b, stopping, rank_exit a, exit b, exit a",
        "RANK_FAILED b",
        {"a": STOP, "b": STOP},
    ),
    "the first failure arrives last": Row(
        [*BEGUN, rank_exit("a", 1, time=BEGIN - 1), rank_exit("b", 3, time=BEGIN - 2), exits("a", 1), exits("b", 3)],
        "rank_exit a, stopping, rank_exit b, exit a, exit b",
        "RANK_FAILED b",
        {"a": STOP, "b": STOP},
    ),
    "torchrun fails without a rank": Row(
        [*begins("a")[:2], *begins("b")[:2], frame("a", "runner_exit", exit_code=2, signal=None)]
        + [exits("a", 2), exits("b", 15, stopped=True, reason="stopped")],
        "ready a, started a, ready b, started b, runner_exit a, stopping, exit a, exit b",
        "RANK_FAILED a",
        {"a": STOP, "b": STOP},
    ),
    "a runner is missing": Row(
        [ready("a"), ready("b"), frame("a", "start_failed", message="no torchrun"), exits("a", outcome="start_failed")]
        + [exits("b", 15, stopped=True, reason="stopped")],
        "ready a, ready b, start_failed a, stopping, exit a, exit b",
        "START_FAILED a",
        {"a": STOP, "b": STOP},
    ),
    "a command fails": Row(
        [*BEGUN, exits("b", 7), exits("a", 0)],
        "exit b, stopping, exit a",
        "COMMAND_FAILED b",
        {"a": STOP, "b": STOP},
        shape="command",
    ),
    "ranks of mpirun are late": Row(
        [ready("a"), ready("b"), frame("a", "started"), frame("b", "late", daemon="10.0.0.1")]
        + [exits("a", 1, stopped=True, reason="late"), exits("b", stopped=True, reason="late")],
        "ready a, ready b, started a, stopping, exit a, exit b",
        "DAEMON_NOT_READY b",
        {"a": STOP, "b": STOP + wire.END.decode()},
        runner="mpirun",
    ),
    # -- success that is not one ----------------------------------------------------------------------
    "a rank never joined": Row(
        [*BEGUN[:-1], *ends("a"), exits("b")],
        "ready a, ready b, started a, started b, joined a, rank_exit a, exit a, exit b",
        "RANKS_MISSING",
    ),
    "a rank joins another world": Row(
        [*BEGUN[:-2], joined("a", **OTHER_WORLD), joined("b"), exits("a", 1), exits("b", 1)],
        "ready a, ready b, started a, started b, joined a, stopping, joined b, exit a, exit b",
        "WORLD_DIFFERS a",
        {"a": STOP, "b": STOP},
    ),
    "success, but stopped for no reason": Row(
        [*BEGUN, *ends("a"), rank_exit("b"), exits("b", stopped=True)],
        "rank_exit a, exit a, rank_exit b, exit b",
        "RUN_STOPPED b",
    ),
    "success, but processes are left": Row(
        [*BEGUN, *ends("a"), rank_exit("b"), exits("b", left_behind=["7 python"])],
        "rank_exit a, exit a, rank_exit b, exit b",
        "LEFT_BEHIND b",
    ),
    "a failure after the end": Row(
        [*BEGUN, *ends("a"), rank_exit("a", 9), exits("a", 9), *ends("b")],
        "rank_exit a, exit a, rank_exit b, exit b",
        "",
    ),
    # -- silence -------------------------------------------------------------------------------------
    "a link is cut and comes back": Row(
        [*BEGUN, cut("b"), wait(5), back("b"), *begins("b"), *ends("b"), *ends("a")],
        "suspect b, back b, rank_exit b, exit b, rank_exit a, exit a",
        "",
    ),
    "a node is silent, and the other cannot reach it": Row(
        [*SUSPECTED, exits("a", 15, stopped=True, reason="stopped")],
        "suspect b, lost b, stopping, exit a",
        "NODE_LOST b",
        {"a": STOP},
        alive=False,
    ),
    "a node is silent, and the other cannot tell": Row(
        [*SUSPECTED, exits("a", 15, stopped=True, reason="stopped")],
        "suspect b, lost b, stopping, exit a",
        "NODE_LOST b",
        {"a": STOP},
    ),
    "a node is silent, and the other reaches it": Row(
        [*SUSPECTED, wait(500), back("b"), *begins("b"), *ends("b"), *ends("a")],
        "suspect b, back b, rank_exit b, exit b, rank_exit a, exit a",
        "",
        alive=True,
    ),
    "all nodes are silent, which is our own link": Row(
        [*BEGUN, cut("a"), cut("b"), wait(500)], "suspect a, suspect b", "NODE_LOST a, NODE_LOST b", waits=True
    ),
    "a node reboots": Row(
        [*BEGUN, cut("b"), back("b"), ready("b", "2"), exits("a", 15, stopped=True, reason="stopped")],
        "suspect b, back b, lost b, stopping, exit a",
        "NODE_REBOOTED b",
        {"a": STOP},
    ),
    "a supervisor was killed": Row(
        [*BEGUN, exits("b", None, outcome="lost"), exits("a", 15, stopped=True, reason="stopped")],
        "exit b, stopping, exit a",
        "SUPERVISOR_LOST b, LEFT_BEHIND b",
        {"a": STOP, "b": STOP},
        left=("7 python",),
    ),
    # -- before the start ----------------------------------------------------------------------------
    "a channel ends before its first word": Row(
        [ready("a"), cut("b"), exits("a", None, outcome="disarmed")],
        "ready a, exit a",
        "CHANNEL_FAILED b",
        {"a": STOP},
    ),
    "a node is not ready in time": Row(
        [ready("a"), wait(31), exits("a", None, outcome="disarmed", stopped=True), cut("b")],
        "ready a, exit a",
        "NODE_NOT_READY b",
        {"a": STOP, "b": STOP},
    ),
    "a node disarms by itself": Row(
        [ready("a"), ready("b"), exits("b", None, outcome="disarmed"), exits("a", stopped=True)],
        "ready a, ready b, exit b, stopping, exit a",
        "NODE_NOT_READY b",
        {"a": STOP, "b": STOP},
    ),
    "a run that attach does not find": Row(
        [frame("b", "refused", message="no such run"), ready("a"), *ends("a")],
        "ready a, rank_exit a, exit a",
        "RUN_UNKNOWN b",
        how={"begun": True},
    ),
    # -- orders --------------------------------------------------------------------------------------
    "interrupted": Row(
        [*BEGUN, user("interrupt", BY_USER), exits("a", stopped=True), exits("b", stopped=True)],
        "stopping, exit a, exit b",
        "INTERRUPTED",
        {"a": STOP, "b": STOP},
    ),
    "interrupted, and what fails then": Row(
        [*BEGUN, user("interrupt", BY_USER), frame("a", "runner_exit", exit_code=1, signal=None)]
        + [exits("a", 1, stopped=True), exits("b", stopped=True)],
        "stopping, runner_exit a, exit a, exit b",
        "INTERRUPTED",
        {"a": STOP, "b": STOP},
    ),
    "interrupted three times": Row(
        [*BEGUN, *[user("interrupt", BY_USER)] * 3], "stopping", "INTERRUPTED", {"a": STOP + KILL, "b": STOP + KILL}
    ),
    "a reader is interrupted": Row(
        [*BEGUN, user("interrupt", BY_USER)], "", "NODE_LOST a, NODE_LOST b", how={"read_only": True}
    ),
    "a reader sees a failure": Row(
        [*BEGUN, *ends("a", 3), exits("b", 15, stopped=True, reason="stopped")],
        "rank_exit a, exit a, exit b",
        "RUN_STOPPED, RANK_FAILED a",
        how={"read_only": True},
    ),
    "stopped by another command": Row(
        [*BEGUN, *(exits(host, 15, stopped=True, reason="stopped") for host in HOSTS)], "exit a, exit b", "RUN_STOPPED"
    ),
    "over time": Row(
        [*BEGUN, frame("a", "stopping", reason="timed_out"), *(exits(host, stopped=True) for host in HOSTS)],
        "stopping, exit a, exit b",
        "TIMED_OUT",
        {"a": STOP, "b": STOP},
    ),
    "no output for too long": Row(
        [*BEGUN, wait(59), output(0, "x"), wait(59), output(1, "y"), wait(61)]
        + [exits(host, stopped=True) for host in HOSTS],
        "log a x, log a y, idle, exit a, exit b",
        "TIMED_OUT",
        {"a": DUMP, "b": DUMP},
        idle=60,
    ),
    # -- nodes that send what no supervisor sends ----------------------------------------------------
    "not a frame": Row(
        [*BEGUN, raw("b", b"hello\n"), exits("a", 15, stopped=True, reason="stopped")],
        "lost b, stopping, exit a",
        "PROTOCOL_ERROR b",
        {"a": STOP},
    ),
    "a field of another kind": Row(
        [*BEGUN, rank_exit("b", "0"), exits("a", 15, stopped=True, reason="stopped")],
        "lost b, stopping, exit a",
        "PROTOCOL_ERROR b",
        {"a": STOP},
    ),
    "another node's rank": Row(
        [*BEGUN, rank_exit("b", 1, rank=0), *ends("a")],
        "lost b, stopping, rank_exit a, exit a",
        "PROTOCOL_ERROR b",
        {"a": STOP},
    ),
    "a number that was used before": Row(
        [*BEGUN, rank_exit("b", 9, seq=1), *ends("a"), *ends("b")], "rank_exit a, exit a, rank_exit b, exit b", ""
    ),
}


# -- the stage ----------------------------------------------------------------------------------------


class OutOfSteps(Exception):  # noqa: N818  it ends a row, and is not an error
    """The follower waits for more than a row has."""


class Channel:
    """A channel that records the orders to a node."""

    def __init__(self):
        self.given = ""

    def give(self, data):
        self.given += data.decode()

    def drop(self):
        pass


class Stage(Links):
    """The loop, whose turns are the steps of a row, the clock, and the links to nodes."""

    def __init__(self, row):
        self.row, self.now, self.told, self.looked_for = row, BEGIN, [], {}
        self.steps, self.numbers = iter(row.steps), dict.fromkeys(HOSTS, 0)
        nodes = [
            {"host": host, "node_rank": rank, "run_dir": "/r", "nproc_per_node": 1, "address": host}
            for rank, host in enumerate(HOSTS)
        ]
        plan = {"run_id": "r", "runner": row.runner, "shape": row.shape, "world_size": 2, "nodes": nodes}
        plan["start_timeout"] = 20.0
        self.follower = follower.Follower(plan, self.tell, self, WAYS, **row.how)
        self.follower.suspects.links = self
        self.channels = {host: Channel() for host in HOSTS}

    def tell(self, event, payload):
        text = [payload.decode()] if payload else []
        self.told.append(" ".join([event["event"], *([event["host"]] if "host" in event else []), *text]))

    def monotonic(self):
        return self.now

    time = monotonic

    # A loop.

    def turn(self, seconds, without_nodes=False):
        self.now += 0.01
        kind, what = next(self.steps, (None, None))
        if kind is None:
            raise OutOfSteps
        if kind == "wait":
            # A follower that watches the time does not wait without end.
            assert seconds is not None
            self.now += what
        elif kind == "cut":
            self.follower.ended(what)
        elif kind == "back":
            # It was looked for where it ended; it sends all again.
            assert self.looked_for.pop(what)["seq"] == self.numbers[what]
            self.numbers[what] = 0
            self.follower.back(what, Channel())
        elif kind == "call":
            getattr(self.follower.orders, what[0])(*what[1])
        else:
            self.follower.heard(kind, what if isinstance(what, bytes) else self.encoded(kind, dict(what)))

    def encoded(self, host, header):
        if header["event"] in ("ready", "refused", "log"):
            return wire.encode(header, header.pop("text", "").encode())
        self.numbers[host] += 1
        return wire.encode({"seq": self.numbers[host], **header})

    # Links.

    def look_for(self, host, position):
        self.looked_for[host] = position

    def ask(self, host, peers):
        self.follower.suspects.alive(host, self.row.alive)

    def sweep(self, host):
        self.follower.suspects.swept(host, list(self.row.left))

    def run(self):
        """Do what the conductor does, and return whether the follower waits for more steps."""
        for host, channel in self.channels.items():
            self.follower.armed(host, channel)
        try:
            if not self.row.how.get("begun"):
                if self.follower.wait_ready(30.0):
                    self.follower.go()
                else:
                    self.follower.orders.stop()
            self.follower.follow(self.row.idle)
        except OutOfSteps:
            return True
        return False


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_frames_in_events_and_verdict_out(row, monkeypatch):
    stage = Stage(row)
    clock = SimpleNamespace(monotonic=stage.monotonic, time=stage.time)
    for module in (follower, suspects, mpi_daemons):
        monkeypatch.setattr(module, "time", clock)
    stage.follower._spoke_at = stage.now
    waits = stage.run()

    problems, _ = run_outcome.judge(stage.follower.runs, stage.follower.plan, stage.follower.orders.interrupted)
    verdict = ", ".join(" ".join(filter(None, (entry["code"], entry["host"]))) for entry in problems)
    events = ", ".join(stage.told).removeprefix(TOLD).removeprefix(", ")
    orders = {host: channel.given.removeprefix("g") for host, channel in stage.channels.items()}
    assert (events, verdict, waits) == (row.events, row.verdict, row.waits)
    assert {host: given for host, given in orders.items() if given} == row.orders
    assert waits or not list(stage.steps), "the follower ended before the row"
