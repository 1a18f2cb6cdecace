# SPDX-License-Identifier: Apache-2.0
"""
Run as the first process of a pod: start its agent, and in the first pod the conductor; reap all processes; end last.

Ends with 0 unless the pod itself fails, even if the run has failed: when one pod of a job fails, the cluster deletes
those that are still running, with their logs. Only the first pod ends with the exit code of the run, after all others.
Private to the collection.

    this ─┬─ agent      dials in to the first pod, and starts there what the conductor wants
          ├─ printer    prints what the ranks print
          └─ conductor  in the first pod only
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any, Callable, Dict, Optional

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, pod_log, pods, run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._job import pod_code, pod_printer, pod_site, site, work
from ansible_collections.madctl.multinode.plugins.module_utils._ways import dial_in

# For the agent of the first pod to reach the conductor in the same pod.
_OWN_SECONDS = 30.0
# For the agent to end after the conductor, and for the printer to end after both.
_AGENT_SECONDS, _PRINTER_SECONDS = 60.0, 15.0
_RESULT = "result.lines"
_SIGNALS = {signal.SIGTERM, signal.SIGCHLD}


class Family:
    """The processes of this pod: those that this one started, and orphans, which are reaped."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._codes: Dict[int, int] = {}
        self.on_term: Callable[[], None] = lambda: None

    @staticmethod
    def start(program: Callable[[], None]) -> int:
        """Start a child, and return its process id."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            program()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):
                os.write(2, end.code.encode(errors="replace") + b"\n")
        except Exception:  # otherwise, there would be no trace of why it ended
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def code(self, pid: int) -> Optional[int]:
        """Return the exit code of a child as a shell reports it; None while it runs."""
        return self._codes.get(pid)

    def wait(self, pid: int, seconds: Optional[float] = None) -> Optional[int]:
        """Wait for a child, reap all others, and obey signals; None if it is still running after that time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._reap()
            if pid in self._codes or deadline is not None and time.monotonic() >= deadline:
                return self._codes.get(pid)
            self._signal(1.0 if deadline is None else min(1.0, max(0.0, deadline - time.monotonic())))

    def linger(self, seconds: float) -> None:
        """Reap children and obey signals for that time; a signal to end ends the wait."""
        is_over = []
        self.on_term = lambda: is_over.append(True)
        deadline = time.monotonic() + seconds
        while not is_over and time.monotonic() < deadline:
            self._reap()
            self._signal(max(0.0, deadline - time.monotonic()))

    def _signal(self, seconds: float) -> None:
        found = signal.sigtimedwait(_SIGNALS, seconds)
        if found is not None and found.si_signo == signal.SIGTERM:
            self.on_term()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._codes[pid] = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _index() -> int:
    text = os.environ.get(pods.INDEX, "")
    if not (text.isascii() and text.isdigit()):
        sys.exit("madctl: %s is not set: this is not a pod of an Indexed Job" % pods.INDEX)
    return int(text)


def _own_address() -> str:
    """Return this pod's address: connections to another one would show something else about its network."""
    with contextlib.suppress(OSError):
        return str(socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)[0][4][0])
    return "127.0.0.1"


def _agent(known: pod_site.About, index: int) -> None:
    """Dial in to the first pod, whose name may not be known for a while."""
    where = "%s.%s" % (pods.host_name(known.job, 0), known.service) if index else _own_address()
    key = os.path.join(pods.SECRETS, pods.KEY)
    # In the first pod, the conductor listens soon or never.
    seconds = known.agents_seconds if index else _OWN_SECONDS
    dial_in.serve((where, known.port), key, index, pods.host(index), seconds)


def _conduct(known: pod_site.About, write: pod_site.Write, kept: str) -> None:
    """Conduct the run, and leave the result in a file, and a verdict where the cluster keeps it."""
    conducted: Optional[work.Work] = None
    try:
        conducted = work.Work(pod_site.PodSite(known, write))
        result: Dict[str, Any] = conducted.run()
    except site.SiteError as error:
        result = work.failed([codes.problem("NODE_NOT_READY", pods.host(0), str(error))])
    except Exception as error:  # noqa: BLE001  followers must learn of it
        result = work.broken(error, "see the log of the first pod")
    began = conducted.began if conducted else None
    own = conducted.ended(pods.host(0)) if conducted else None
    pod_printer.leave_word(pod_site.verdict(result, began, own))
    with open(kept, "wb") as stream:
        pod_site.say(stream.write, pod_log.RESULT, result)
    sys.exit(result["exit_code"])


def main() -> None:
    """Run everything in this pod, and end as the run requires."""
    os.umask(0o077)
    index = _index()
    try:
        known = pod_site.about()
        request = pod_site.request()
        if "code" in request:
            pod_code.unpack(request["code"])
    except site.SiteError as error:
        said = "%s: %s" % (pods.host(index), error)
        pod_printer.leave_text(said)
        sys.exit("madctl: " + said)
    family = Family()
    write = pod_printer.to_all(1, *pod_printer.copy_of(known.logs, pods.host(index)))
    is_over, over = os.pipe()

    def printer() -> None:
        os.dup2(is_over, 0)
        os.close(over)
        base = run_directory.base(os.geteuid())
        record = pod_printer.leave_word if index else lambda _: None
        pod_printer.Printer(base, str(request["arguments"]["run_id"]), write, record).run()

    prints = family.start(printer)
    agent = family.start(lambda: _agent(known, index))
    kept = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), _RESULT)
    conductor = None if index else family.start(lambda: _conduct(known, write, kept))
    leader = agent if conductor is None else conductor

    def on_term() -> None:
        # Its process id may belong to another process after its end.
        if family.code(leader) is None:
            _end(leader, conductor is None)

    family.on_term = on_term
    code = family.wait(leader)
    family.wait(agent, _AGENT_SECONDS)
    os.close(over)
    family.wait(prints, _PRINTER_SECONDS)
    if not index:
        _tell(kept, write)
    if not index and code:
        family.linger(pods.LINGER_SECONDS)
    sys.exit(code or 0)


def _tell(kept: str, write: pod_site.Write) -> None:
    """Print the result as the last lines of the log: by then, followers have all of the output."""
    with contextlib.suppress(OSError), open(kept, "rb") as stream:
        for line in stream:
            write(line)


def _end(pid: int, is_agent: bool) -> None:
    """
    Pass on the cluster's order to end.

    The conductor ends the run on all nodes. In a pod without a conductor, the supervisors end their part of the run;
    the agent itself continues, so that the conductor learns about it.
    """
    for each in dial_in.children(pid) if is_agent else [pid]:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGTERM)
