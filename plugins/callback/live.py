# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes × stage while a run starts, then the job's lines; nothing of Ansible's own for what this collection does."""

from __future__ import annotations

DOCUMENTATION = r"""
name: live
type: stdout
short_description: Nodes × stage while a run starts, then the lines of the job
description:
  - On a terminal a table of all nodes and how far each has come, until the job speaks; elsewhere a line a stage.
  - Tasks of other collections look as with the callback C(default).
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
from ansible_collections.madctl.multinode.plugins.module_utils._show import stage_table
from ansible_collections.madctl.multinode.plugins.plugin_utils._screen import playbook_screen

_OURS = "madctl.multinode"
_LAST_WORDS_SECONDS = 10.0


class CallbackModule(Default):
    """Draws what the collection's actions tell; everything else is the default callback's."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "madctl.multinode.live"

    def __init__(self) -> None:
        """Prepare; nothing listens before a playbook starts."""
        super().__init__()
        self._lock = threading.RLock()
        self._table = stage_table.Table()
        self._drawn = 0
        self._is_terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._barrier = threading.Event()
        self._asking: socket.socket | None = None
        self._directory = ""
        self._waiting_play: Any = None
        self._has_others = False

    # -- what actions tell ------------------------------------------------------------------------

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Listen; workers inherit the environment, and with it where to tell."""
        super().v2_playbook_on_start(playbook)
        # ansible-runner inherits from the callback that it finds, and locks the display around every method of it: a
        # thread of ours would wait for that for ever. There, this is the callback "default".
        if type(self) is not CallbackModule:
            return
        self._directory = private_places.private()
        self._step_aside()
        # A playbook that is interrupted has no statistics. Below zero comes after workers were waited for, who still
        # speak while they stop a run; workers are copies of this process, and do not do it.
        multiprocessing.util.Finalize(None, self._leave, exitpriority=-1)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A path may be too long for a socket's name; a descriptor's never is.
        place = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        listener.bind("/proc/self/fd/%d/live.sock" % place)
        os.close(place)
        listener.listen(8)
        os.environ[playbook_screen.LIVE_SOCKET] = self._place()
        threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def _step_aside(self) -> None:
        """Take the table away for whatever Ansible itself says, such as a warning, and draw it again below."""
        show, owner = self._display.display, os.getpid()

        def display(*words: Any, **more: Any) -> None:
            if os.getpid() != owner:
                # A worker, which may have been forked while the lock was held.
                show(*words, **more)
                return
            with self._lock:
                had_table = bool(self._drawn)
                self._erase()
                show(*words, **more)
                sys.stdout.flush()  # Ansible does so only at its end.
                if had_table:
                    self._draw()

        self._display.display = display

    def _listen(self, listener: socket.socket) -> None:
        """Hear all who speak in one thread: when the interpreter ends, no other can be started."""
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
            # Connections are taken in their order: whoever asks for it hears when all before have said their last.
            if speakers and speakers[0] is self._asking:
                self._barrier.set()

    def _hear(self, key: Any) -> bool:
        """Take in what one says, and tell whether there may be more."""
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
            if event["event"] == events.TEXT:
                self._say(event["text"], is_job=bool(event.get("job")))
            elif event["event"] == events.NODES:
                self._table.begin(event["nodes"])
                self._draw()
            elif self._table.take(event):
                self._draw()

    def _say(self, text: str, is_job: bool = False) -> None:
        self._erase()
        self._display.display(text)
        if is_job:
            self._table.end()
        self._draw()

    def _draw(self) -> None:
        if not self._is_terminal:
            return
        self._erase()
        lines = self._table.lines(shutil.get_terminal_size())
        sys.stdout.write("".join(line + "\n" for line in lines))
        sys.stdout.flush()
        self._drawn = len(lines)

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write("\x1b[%dA\x1b[J" % self._drawn)
            sys.stdout.flush()
            self._drawn = 0

    def _wait(self) -> None:
        """Let what an action told come before what follows it."""
        if not self._directory:
            return
        self._barrier.clear()
        with unix_sockets.connect(self._place()) as own:
            own.sendall(wire.encode({"event": events.BARRIER}))
            self._barrier.wait(_LAST_WORDS_SECONDS)

    def _place(self) -> str:
        return "%s/live.sock" % self._directory

    def _leave(self) -> None:
        self._wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    # -- Ansible's own events ---------------------------------------------------------------------

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Keep the banner of a play until a task wants one."""
        if not self._directory:
            super().v2_playbook_on_play_start(play)
            return
        self._waiting_play = play
        self._play = play

    def v2_playbook_on_task_start(self, task: Any, is_conditional: Any) -> None:
        """Show other people's tasks as usual."""
        if self._is_ours(task):
            return
        with self._lock:
            self._erase()
            self._show_play()
            super().v2_playbook_on_task_start(task, is_conditional)

    def _show_play(self) -> None:
        self._has_others = True
        play, self._waiting_play = self._waiting_play, None
        if play is not None:
            super().v2_playbook_on_play_start(play)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """Begin a node's line with the first look at it."""
        if self._is_ours(task):
            with self._lock:
                if task.action.endswith(".node_info") and self._table.add(host.get_name()):
                    self._draw()
            return
        super().v2_runner_on_start(host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Mark a node that was looked at."""
        self._on_result(result, "v2_runner_on_ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Show a failure of ours as its lines, unless they were shown."""
        self._on_result(result, "v2_runner_on_failed", ignore_errors=ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Mark a node that does not answer; the verdict on all nodes says why."""
        self._on_result(result, "v2_runner_on_unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Say nothing of what ours leave out."""
        self._on_result(result, "v2_runner_on_skipped")

    def _on_result(self, result: Any, name: str, **more: Any) -> None:
        task, found = result._task, result._result
        if not self._is_ours(task):
            with self._lock:
                self._erase()
                getattr(super(), name)(result, **more)
            return
        if task.action.endswith(".node_info"):
            with self._lock:
                host = result._host.get_name()
                if self._table.mark(host, "probe", "node" in found):
                    self._draw()
            return
        self._wait()
        if found.get("diff") and found.get("changed") and self._diff_wanted(task):
            with self._lock:
                self._say(self._get_diff(found["diff"]).rstrip())
        if name == "v2_runner_on_failed" and task.action != "ansible.builtin.fail":
            with self._lock:
                self._say(plain_text.lines(found.get("msg")))

    @staticmethod
    def _diff_wanted(task: Any) -> bool:
        return bool(task.diff)

    def v2_on_file_diff(self, result: Any) -> None:
        """Show differences of other people's tasks as usual; ours come with their results."""
        if not self._is_ours(result._task):
            super().v2_on_file_diff(result)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        """Say nothing of our own files."""
        if not self._is_ours(included_file._task):
            super().v2_playbook_on_include(included_file)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Leave the screen; a recap where there was more than ours."""
        self._wait()
        with self._lock:
            self._erase()
        if self._directory:
            os.environ.pop(playbook_screen.LIVE_SOCKET, None)
        if self._has_others or not self._directory:
            super().v2_playbook_on_stats(stats)

    def _is_ours(self, task: Any) -> bool:
        role = getattr(task, "_role", None)
        named = str(getattr(role, "_role_collection", "") or "")
        ours = named == _OURS or str(task.action).startswith(_OURS + ".") or str(task.action).endswith("meta")
        return ours and bool(self._directory)
