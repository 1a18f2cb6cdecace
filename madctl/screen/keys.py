# SPDX-License-Identifier: Apache-2.0
"""Read keys while something is drawn, and restore the terminal afterwards, however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from typing import Any

_LEAVE = b"qQ\x03\x04"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Keys:
    """
    Notes that a key or a signal asks to leave; a context manager that restores the terminal and the signal handlers.

    Without a terminal to read from, it handles only signals.
    """

    def __init__(self) -> None:
        self.is_leaving = False
        # The signal that asked to leave, other than Ctrl-C.
        self.ended_by: int | None = None
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self.descriptor: int | None = None

    def __enter__(self) -> Keys:
        with contextlib.suppress(OSError, ValueError, AttributeError, termios.error):
            descriptor = sys.stdin.fileno()
            # A background process would be stopped if it changed the terminal, or read from it.
            if os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp():
                self._before = termios.tcgetattr(descriptor)
                self.descriptor = descriptor
        for number in _ENDING:
            self._handlers[number] = signal.signal(number, self._end)
        self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, lambda *_: self._take_over())
        self._take_over()
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.descriptor, termios.TCSANOW, self._before or [])
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def read(self) -> None:
        """Read the pressed keys; a terminal that has gone away is also a reason to leave."""
        assert self.descriptor is not None
        try:
            pressed = os.read(self.descriptor, 1024)
        except OSError:
            pressed = b""
        self.is_leaving = self.is_leaving or not pressed or any(key in _LEAVE for key in pressed)

    def _take_over(self) -> None:
        """Make the terminal deliver keys at once, without echo; Ctrl-C and Ctrl-Z work as usual."""
        if self.descriptor is None or self._before is None:
            return
        own = list(self._before)
        # Otherwise, Ctrl-C would remove earlier keys, perhaps just before they are read, and reading would not return.
        own[3] = own[3] & ~(termios.ICANON | termios.ECHO) | termios.NOFLSH
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self.descriptor, termios.TCSANOW, own)

    def _end(self, number: int, _: object) -> None:
        self.is_leaving = True
        if number != signal.SIGINT:
            self.ended_by = number
