# SPDX-License-Identifier: Apache-2.0
"""
Runs in scheduler jobs, submitted and followed on a login node, whose agent calls our functions.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, wire
from ansible_collections.madctl.multinode.plugins.module_utils._conduct import find_run
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.conductor import Conductor
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task

_SUBMIT, _END = "_submit.on_login:submit_job", "_submit.on_login:end_job"
_FOLLOW, _LOOK = "_submit.on_login:follow_job", "_submit.on_login:look_at_job"
# sbatch may wait this long for its controller, and files are written first.
_SUBMIT_SECONDS, _END_MORE_SECONDS = 120.0, 150.0
# A connection that ends while a job waits is opened again; a run depends on none.
_PAUSE_SECONDS, _MOST_LOSSES = 5.0, 5
_LOOK_SECONDS = 90.0
# How often to check whether the reader of events accepts more.
_HELD_SECONDS = 0.05
# Errors that keep a reader from existing output.
UNREAD = (*codes.UNREACHABLE, "NODE_SILENT", "PROTOCOL_ERROR")

Result = Dict[str, Any]


def submit(agents: Agents, host: str, request: Dict[str, Any], files: Callable[[], str]) -> Answer:
    """
    Submit a run; the answer has ``problem`` if it was not.

    Args:
        files: Packs our programs, if the login node lacks them.
    """
    answer = _ask(agents, host, _SUBMIT, {**request, "files": None}, _SUBMIT_SECONDS)
    if answer.get("wants_files"):
        answer = _ask(agents, host, _SUBMIT, {**request, "files": files()}, _SUBMIT_SECONDS)
    return answer


def end(agents: Agents, host: str, request: Dict[str, Any]) -> Answer:
    """End a run; the answer has ``problem`` if it has not ended."""
    return _ask(agents, host, _END, request, request["grace"] + _END_MORE_SECONDS)


def look(agents: Agents, host: str, request: Dict[str, Any]) -> Answer:
    """Determine the state of a run; the answer has ``problem`` if that is unknown."""
    return _ask(agents, host, _LOOK, request, _LOOK_SECONDS)


def _ask(agents: Agents, host: str, function: str, request: Dict[str, Any], seconds: float) -> Answer:
    answer = agents.ask({host: request}, function, seconds)[host]
    if answer.get("failed"):
        silent = answer.get("problem") or find_run.silence(agents.ways[host], answer["msg"])
        return {"changed": False, "problem": silent}
    return answer


class Following:
    """Follows one run in a job, from its first frame to its result."""

    def __init__(
        self,
        conductor: Conductor,
        agents: Agents,
        host: str,
        job: Dict[str, Any],
        tell: Callable[[Dict[str, Any], bytes], None],
        waits: Callable[[str], None],
    ) -> None:
        """
        Prepare.

        Args:
            host: The login node.
            job: ``job_id``, ``place``, ``conf``.
            tell: Gets the frames of the story.
            waits: Gets a description of what the job waits for.
        """
        self._conductor, self._agents, self._host, self._job = conductor, agents, host, job
        self._tell, self._waits = tell, waits
        self._call: Optional[Call] = None
        self._decoder = wire.Decoder()
        self._parts: List[bytes] = []
        self._result: Optional[Result] = None
        self._given = b""
        self._frames = self._losses = 0
        self._follow, self._reads = True, False
        self._so_far: Callable[[], None] = lambda: None

    def read(self, follow: bool, so_far: Callable[[], None]) -> Result:
        """
        Read the story; orders do not reach the run, any of them ends the reading.

        Args:
            follow: Whether to wait for the end of the run.
            so_far: Called when all existing output was read.
        """
        self._follow, self._reads, self._so_far = follow, True, so_far
        return self.run()

    def run(self) -> Result:
        """Follow to the end, and return the result of the run, or that it continues without us."""
        self._conductor.follows()
        self._begin()
        while self._result is None:
            self._obey()
            if self._result is None:
                is_held = self._conductor.is_held()
                self._conductor.loop.turn(_HELD_SECONDS if is_held else None, without_nodes=is_held)
        return self._result

    def _begin(self) -> None:
        self._decoder = wire.Decoder()
        request = {**self._job, "skip": self._frames, "follow": self._follow}
        task = Task(
            _FOLLOW,
            request,
            self._answered,
            told=lambda _: None,
            raw=self._heard,
            started=self._started,
        )
        self._agents.become(self._host, task)

    def _started(self, call: Call) -> None:
        self._call = call
        if self._given:
            call.give(self._given)  # The order may not have arrived over the previous connection.

    def _obey(self) -> None:
        orders = self._conductor.orders
        if orders.detached or (self._reads and orders.interrupted):
            self._give(wire.DETACH)
            self._result = {"detached": True, "problems": [], "exit_code": 0}
        elif orders.killing:
            self._give(wire.KILL)
        elif orders.interrupted:
            self._give(wire.STOP)

    def _give(self, order: bytes) -> None:
        if order != self._given:
            self._given = order
            if self._call:
                self._call.give(order)

    def _heard(self, data: bytes) -> None:
        if self._result is not None:
            return
        try:
            self._take(data)
        except wire.WireError as error:
            message = "the story of the run cannot be read: %s" % error
            self._result = _of([codes.problem("PROTOCOL_ERROR", None, message, "see story in the run directory")])

    def _take(self, data: bytes) -> None:
        for event, payload in self._decoder.feed(data):
            self._losses = 0
            kind = event.get("event")
            if kind == events.QUEUED:
                self._waits(str(event.get("text")))
            elif kind == events.ENDED:
                self._parts.append(payload)
                if event.get("is_last"):
                    self._result = _result(b"".join(self._parts))
            elif kind == events.SO_FAR:
                self._so_far()
            elif type(kind) is str:
                self._frames += 1
                self._tell(event, payload)

    def _answered(self, answer: Answer) -> None:
        """Begin again if the connection ended, a few times."""
        self._call = None
        self._parts = []
        if self._result is not None:
            return
        self._losses += 1
        is_lost = "problem" in answer or answer.get("rc", 0) is None
        if is_lost and self._losses <= _MOST_LOSSES:
            self._conductor.loop.after(_PAUSE_SECONDS, self._begin)
            return
        self._result = _of([answer.get("problem") or self._refusal(is_lost, str(answer.get("msg")))])

    def _refusal(self, is_lost: bool, why: str) -> codes.Problem:
        if is_lost:
            return codes.problem("HOST_UNREACHABLE", self._host, why, "the run continues without it; attach again")
        return codes.problem("RUN_UNKNOWN", self._host, why, "check --run-root and the ID of the run")


def _result(data: bytes) -> Result:
    found = wire.parse_or_none(data)
    if found is not None and type(found.get("problems")) is list and type(found.get("exit_code")) is int:
        return found
    message = "the result of the run cannot be read"
    return _of([codes.problem("PROTOCOL_ERROR", None, message, "see result.json in the run directory")])


def _of(problems: List[codes.Problem]) -> Result:
    return {"detached": False, "restarts": [], "problems": problems, "exit_code": int(codes.exit_code(problems))}
