# SPDX-License-Identifier: Apache-2.0
"""
Functions that are called on a login node over an agent's channel: submit a job, follow its run, end it.

Secrets of the request are sent only over the channel, and stored in the job's private directory. Private to the
collection.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, events, job_directory, wire
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._node import agent_calls
from ansible_collections.madctl.multinode.plugins.module_utils._submit import ending, place, slurm, standing, submission
from ansible_collections.madctl.multinode.plugins.module_utils._submit.watch import Job, Watch

_LOOK_SECONDS = 0.1
_PART_BYTES = 1 << 19

# Directories in which sites install Slurm: a session without a login shell may have none of them on its PATH.
PLACES = ("/opt/slurm/bin", "/usr/local/slurm/bin", "/cm/shared/apps/slurm/current/bin", "/usr/local/bin")

Answer = Dict[str, Any]


def packed(files: Dict[str, str]) -> str:
    """Pack our programs for a request."""
    return base64.b64encode(zlib.compress(json.dumps(files).encode())).decode()


def _unpacked(text: str) -> Dict[str, str]:
    files: Dict[str, str] = json.loads(zlib.decompress(base64.b64decode(text)))
    return files


# -- submit ----------------------------------------------------------------------------------------


def submit_job(request: Dict[str, Any]) -> Answer:
    """
    Submit a run unless it is submitted already, or have Slurm test it.

    Args:
        request: ``base``, the directory of runs, ``run_id``, ``nodes``, ``chosen`` words for sbatch, ``arguments`` of
            the launch, ``conf``, ``dry_run``, ``programs``, the name of the directory of our programs, and ``files``,
            those programs if they were requested.

    Returns:
        ``wants_files`` if the programs are not there yet; ``problem`` if it was refused; otherwise the job.
    """
    nothing: Answer = {"changed": False, "wants_files": False, "problem": None}
    try:
        return {**nothing, **_submitted(request)}
    except Refused as refused:
        return {**nothing, "problem": refused.problem}


def _submitted(request: Dict[str, Any]) -> Answer:
    base = _base(request)
    slurm.require()
    place.checked(base / request["run_id"])
    drafted = submission.draft(base, request["run_id"], request["nodes"], request["chosen"])
    shown = {
        "place": str(drafted.place),
        "argv": drafted.argv,
        "script": place.script(drafted.place, request["programs"]),
    }
    known = job_of(drafted.place, request["conf"])
    if known:
        return {**shown, "job_id": known}
    if request["dry_run"]:
        return {**shown, "changed": True, "job_id": None, "said": submission.test(drafted, request["conf"])}
    if not (base / request["programs"]).is_dir() and not request["files"]:
        return {"wants_files": True}
    files = _unpacked(request["files"]) if request["files"] else {}
    _clear_unsubmitted(drafted.place)
    arguments = request["arguments"]
    submission.write(drafted, arguments, files, request["programs"])
    job_id, said = submission.submit(drafted, list(arguments["env"]), request["conf"])
    return {**shown, "changed": True, "job_id": job_id, "said": said}


def _base(request: Dict[str, Any]) -> Path:
    """Return the directory of runs, and put the programs of Slurm on the PATH."""
    if shutil.which("sbatch") is None:
        found = [place for place in PLACES if os.access(os.path.join(place, "sbatch"), os.X_OK)]
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *found])
    return Path(os.path.expanduser(request["base"]))


def job_of(where: Path, conf: str) -> Optional[str]:
    """
    Return the id of a run's job, even if its submitter was killed before it knew the id; None if there is none.

    Raises:
        Refused: If the controller has to be queried and cannot be reached.
    """
    about = place.read(where, job_directory.SUBMISSION)
    if about is None:
        return None
    found = str(about.get("job_id") or slurm.find(where.name, conf) or "")
    return found if found.isdigit() else None


def _clear_unsubmitted(where: Path) -> None:
    """Remove the directory of a submitter that was killed before Slurm knew the job; it contains nothing of a run."""
    about = place.read(where, job_directory.SUBMISSION)
    if about is not None and not place.Story(where).has_begun:
        place.remove(where)


# -- end -------------------------------------------------------------------------------------------


def end_job(request: Dict[str, Any]) -> Answer:
    """
    Stop a run, or the latest, and verify that its job is over.

    Args:
        request: ``base``, ``run_id`` or nothing for the latest, ``conf``, ``grace`` in seconds, ``dry_run``,
            ``remove``, whether to also remove its directory.

    Returns:
        ``problem`` if it is unknown, or has not ended.
    """
    base = _base(request)
    nothing: Answer = {"changed": False, "problem": None}
    try:
        where = base / request["run_id"] if request["run_id"] else _latest(base)
        job_id = job_of(where, request["conf"]) if where is not None else None
        if where is None or job_id is None:
            return {**nothing, "problem": None if request["remove"] else _unknown(base, request["run_id"])}
        found = {"run_id": where.name, "job_id": job_id, "place": str(where)}
        job = Job(job_id, where, request["conf"])
        if request["dry_run"]:
            return {**nothing, **found, "changed": request["remove"] or not ending.is_over(job)}
        ended = ending.end(job, request["grace"])
    except Refused as refused:
        return {**nothing, "problem": refused.problem}
    changed = ended.changed
    if request["remove"] and not ended.problem:
        place.remove(where)
        changed = True
    return {**nothing, **found, "changed": changed, "had_begun": ended.had_begun, "problem": ended.problem}


def _latest(base: Path) -> Optional[Path]:
    """Return the directory of the run that was submitted last."""
    found: List[Path] = []
    with contextlib.suppress(OSError):
        found = [path.parent for path in base.glob("*/%s" % job_directory.SUBMISSION)]
    return max(found, key=_submitted_at, default=None)


def _submitted_at(where: Path) -> float:
    with contextlib.suppress(OSError):
        return (where / job_directory.SUBMISSION).stat().st_mtime
    return 0.0


def _unknown(base: Path, run_id: Optional[str]) -> codes.Problem:
    message = "run %s was not submitted from %s" % (run_id, base) if run_id else "no run was submitted from %s" % base
    return codes.problem("RUN_UNKNOWN", None, message, "check --run-root and the ID of the run")


# -- look -----------------------------------------------------------------------------------------


def look_at_job(request: Dict[str, Any]) -> Answer:
    """
    Determine the state of a run.

    Args:
        request: ``base``, ``run_id`` or nothing for the latest, ``conf``.
    """
    base = _base(request)
    try:
        where = base / request["run_id"] if request["run_id"] else _latest(base)
        job_id = job_of(where, request["conf"]) if where is not None else None
        if where is None or job_id is None:
            return {"problem": _unknown(base, request["run_id"])}
        found = standing.of(Job(job_id, where, request["conf"]))
    except Refused as refused:
        return {"problem": refused.problem}
    return {"problem": None, "run_id": where.name, "job_id": job_id, "run_dir": str(where), **found}


# -- follow ----------------------------------------------------------------------------------------


class _Told(NamedTuple):
    """Orders that arrived, and whether the follower has gone."""

    orders: bytes
    is_gone: bool


def follow_job(request: Dict[str, Any], tell: Callable[[Dict[str, Any]], None]) -> Answer:
    """
    Write the frames of a run's story to standard output until it ends, then the result; take orders in the meantime.

    Args:
        request: ``job_id``, ``place``, ``conf``, ``skip``: how many frames were read before;
            ``follow``: whether to wait for more.
        tell: Announces where the frames begin.
    """
    job = Job(request["job_id"], _base({"base": request["place"]}), request["conf"])
    if not job.place.is_dir():
        return {"failed": True, "msg": "%s does not exist" % job.place}
    tell({"frames": True})
    watch = Watch(job, lambda text: _write({"event": events.QUEUED, "text": text}))
    with contextlib.suppress(BrokenPipeError):
        _follow(watch, request["skip"], request["follow"])
    os._exit(0)


def _follow(watch: Watch, skip: int, to_end: bool) -> None:
    is_late = True
    while True:
        frames = watch.frames()
        for event, payload in frames:
            skip -= 1
            if skip < 0:
                _write(event, payload)
        if frames:
            continue
        if is_late:
            is_late = False
            _write({"event": events.SO_FAR})
        result = watch.result()
        if result is None and not to_end:
            result = {"detached": True, "problems": [], "exit_code": 0}
        if result is not None:
            _write_result(result)
            return
        told = _told()
        if told.is_gone or wire.DETACH in told.orders:
            return
        if wire.KILL in told.orders or wire.STOP in told.orders:
            watch.order(wire.KILL if wire.KILL in told.orders else wire.STOP)


def _told() -> _Told:
    ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
    data = os.read(0, 256) if ready else b""
    return _Told(data, bool(ready) and not data)


def _write(event: Dict[str, Any], payload: bytes = b"") -> None:
    agent_calls.write(wire.encode({key: value for key, value in event.items() if key != "bytes"}, payload))


def _write_result(result: Dict[str, Any]) -> None:
    """Write the result of the run, in parts, because it may be longer than a frame."""
    data = json.dumps(result).encode()
    for at in range(0, len(data), _PART_BYTES):
        part = data[at : at + _PART_BYTES]
        _write({"event": events.ENDED, "is_last": at + len(part) == len(data)}, part)
