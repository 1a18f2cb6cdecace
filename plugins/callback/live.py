# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes × stage while a run starts, then the job's lines; hides Ansible's own output about this collection's tasks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: live
type: stdout
short_description: Show a table of nodes while a run starts, then the lines of the job
description:
  - On a terminal, a table of all nodes and how far each has come, until the job prints; elsewhere one line per stage.
  - On a terminal, lines of rank 0 that have not ended, such as progress bars, are drawn again in place; elsewhere their
    state is printed every 10 seconds.
  - Tasks of other collections look as they do with the callback C(default).
author: The madctl authors
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - "Set it as stdout callback: C(ANSIBLE_STDOUT_CALLBACK=madctl.multinode.live)."
"""

import multiprocessing.util
import os
import selectors
import shutil
import socket
import sys
import threading
from typing import Any

from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.madctl.multinode.plugins.module_utils._common import (
    events,
    plain_text,
    private_places,
    unix_sockets,
    wire,
)
from ansible_collections.madctl.multinode.plugins.module_utils._show import colours, stage_table
from ansible_collections.madctl.multinode.plugins.module_utils._show.redrawn import Redrawn, is_possible
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_OURS = "madctl.multinode"
_DRAIN_SECONDS = 10.0


class CallbackModule(Default):
    """Draws what the collection's actions show; leaves everything else to the default callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "madctl.multinode.live"

    def __init__(self) -> None:
        """Prepare; listening begins when a playbook starts."""
        super().__init__()
        self._lock = threading.RLock()
        self._table = stage_table.Table()
        self._below: list[str] = []
        self._drawing = Redrawn(self._write)
        self._is_terminal = is_possible(sys.stdout)
        self._barrier = threading.Event()
        self._asking: socket.socket | None = None
        self._directory = ""
        self._waiting_play: Any = None
        self._has_others = False

    # -- what actions show ------------------------------------------------------------------------

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Listen; workers inherit the environment, and with it the name of the socket."""
        super().v2_playbook_on_start(playbook)
        # ansible-runner inherits from the callback that it finds, and locks the display around each of its methods: our
        # thread would wait for that lock forever. In that case, this callback is named "default".
        if type(self) is not CallbackModule:
            return
        self._directory = private_places.private()
        self._step_aside()
        # An interrupted playbook has no statistics. A negative priority is due after Ansible has waited for its
        # workers, which still send events while they stop a run; workers are copies of this process, and skip it.
        multiprocessing.util.Finalize(None, self._leave, exitpriority=-1)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A path may be too long for the name of a socket; the path of a descriptor never is.
        place = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        listener.bind("/proc/self/fd/%d/live.sock" % place)
        os.close(place)
        listener.listen(8)
        os.environ[playbook_screen.LIVE_SOCKET] = self._place()
        threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def _step_aside(self) -> None:
        """Clear the table while Ansible itself prints something, such as a warning, and draw it again below."""
        show, owner = self._display.display, os.getpid()

        def display(*words: Any, **more: Any) -> None:
            if os.getpid() != owner:
                # This is a worker, perhaps forked while the lock was held.
                show(*words, **more)
                return
            with self._lock:
                had_table = bool(self._drawing)
                self._drawing.erase()
                show(*words, **more)
                sys.stdout.flush()  # Ansible does so only at its end.
                if had_table:
                    self._draw()

        self._display.display = display

    def _listen(self, listener: socket.socket) -> None:
        """Read from all workers in one thread: when the interpreter ends, no other can be started."""
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        speakers: list[socket.socket] = []
        while True:
            for key, _ in selector.select():
                speaker = key.fileobj
                assert isinstance(speaker, socket.socket)
                if speaker is listener:
                    speakers.append(listener.accept()[0])
                    selector.register(speakers[-1], selectors.EVENT_READ, wire.Decoder())
                elif not self._hear(key):
                    selector.unregister(speaker)
                    speakers.remove(speaker)
                    speaker.close()
            # Connections are closed in their order, so the barrier opens when all earlier ones have sent everything.
            if speakers and speakers[0] is self._asking:
                self._barrier.set()

    def _hear(self, key: Any) -> bool:
        """Read what one worker has sent, and return whether there may be more."""
        try:
            data = key.fileobj.recv(1 << 16)
        except OSError:
            return False
        for event, _ in key.data.feed(data):
            if event["event"] == events.BARRIER:
                self._asking = key.fileobj
            else:
                self._on_event(event)
        return bool(data)

    def _on_event(self, event: dict[str, Any]) -> None:
        with self._lock:
            kind = event["event"]
            if kind == events.TEXT:
                self._say(event["text"], is_job=bool(event.get("job")))
            elif kind == events.BELOW:
                self._below = event["lines"]
                if event["job"]:
                    self._table.end()
                self._draw()
            elif kind == events.NODES:
                self._table.begin(event["nodes"])
                self._draw()
            elif self._table.take({**event, "event": kind[len(events.on_node("")) :]}):
                self._draw()

    def _say(self, text: str, is_job: bool = False) -> None:
        self._drawing.erase()
        self._display.display(text)
        if is_job:
            self._table.end()
        self._draw()

    def _draw(self) -> None:
        if self._is_terminal:
            width, height = shutil.get_terminal_size()
            below = [colours.fitted(line, width - 1) for line in self._below[-max(1, height // 2 - 2) :]]
            self._drawing.draw([*self._table.lines((width, height)), *below])

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _wait(self) -> None:
        """Wait until all that an action has sent is shown."""
        if not self._directory:
            return
        self._barrier.clear()
        with unix_sockets.connect(self._place()) as own:
            own.sendall(wire.encode({"event": events.BARRIER}))
            self._barrier.wait(_DRAIN_SECONDS)

    def _place(self) -> str:
        return "%s/live.sock" % self._directory

    def _leave(self) -> None:
        self._wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    # -- Ansible's own events ---------------------------------------------------------------------

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Keep the banner of a play until a task of another collection starts."""
        if not self._directory:
            super().v2_playbook_on_play_start(play)
            return
        self._waiting_play = play
        self._play = play

    def v2_playbook_on_task_start(self, task: Any, is_conditional: Any) -> None:
        """Show tasks of other collections as usual."""
        if self._is_ours(task):
            return
        with self._lock:
            self._drawing.erase()
            self._show_play()
            super().v2_playbook_on_task_start(task, is_conditional)

    def _show_play(self) -> None:
        self._has_others = True
        play, self._waiting_play = self._waiting_play, None
        if play is not None:
            super().v2_playbook_on_play_start(play)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Begin the line of a node when it is probed."""
        if self._is_ours(task):
            with self._lock:
                if task.action.endswith(".node_info") and self._table.add(host.get_name()):
                    self._draw()
            return
        super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Mark a node that was probed."""
        self._on_result(result, "v2_runner_on_ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Show a failure of ours as its lines."""
        self._on_result(result, "v2_runner_on_failed", ignore_errors=ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Mark a node that does not answer; the verdict on all nodes explains why."""
        self._on_result(result, "v2_runner_on_unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Hide tasks of ours that are skipped."""
        self._on_result(result, "v2_runner_on_skipped")

    def _on_result(self, result: Any, name: str, **more: Any) -> None:
        task, found = result._task, result._result
        if not self._is_ours(task):
            with self._lock:
                self._drawing.erase()
                getattr(super(), name)(result, **more)
            return
        if task.action.endswith(".node_info"):
            with self._lock:
                host = result._host.get_name()
                if self._table.mark(host, "probe", "node" in found):
                    self._draw()
            return
        self._wait()
        if found.get("diff") and found.get("changed") and task.diff:
            with self._lock:
                self._say(self._get_diff(found["diff"]).rstrip())
        if name == "v2_runner_on_failed" and task.action != "ansible.builtin.fail":
            with self._lock:
                self._say(plain_text.lines(found.get("msg")))

    def v2_on_file_diff(self, result: Any) -> None:
        """Show differences of other collections' tasks as usual; ours come with their results."""
        if not self._is_ours(result._task):
            super().v2_on_file_diff(result)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Hide our own files."""
        if not self._is_ours(included_file._task):
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Clear the table; show a recap if there were tasks other than ours."""
        self._wait()
        with self._lock:
            self._drawing.erase()
            self._below = []
        if self._directory:
            os.environ.pop(playbook_screen.LIVE_SOCKET, None)
        if self._has_others or not self._directory:
            super().v2_playbook_on_stats(stats)

    def _is_ours(self, task: Any) -> bool:
        role = getattr(task, "_role", None)
        named = str(getattr(role, "_role_collection", "") or "")
        ours = named == _OURS or str(task.action).startswith(_OURS + ".") or str(task.action).endswith("meta")
        return ours and bool(self._directory)
