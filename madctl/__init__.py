# SPDX-License-Identifier: Apache-2.0
"""
Start one job on many GPU nodes over plain SSH, all nodes or none.

    run = madctl.launch("train.py", "--lr", 1e-4, hosts="gpu[01-16]")
    result = run.wait()

Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madctl import errors as errors
    from madctl.api.launching import check as check
    from madctl.api.launching import launch as launch
    from madctl.api.options import CheckOptions as CheckOptions
    from madctl.api.options import LaunchOptions as LaunchOptions
    from madctl.api.results import Check as Check
    from madctl.api.results import Line as Line
    from madctl.api.results import Result as Result
    from madctl.api.results import Status as Status
    from madctl.api.run import Run as Run
    from madctl.api.run import run as run
    from madctl.api.run import runs as runs

    __version__: str

_PLACES = {
    **dict.fromkeys(("check", "launch"), "madctl.api.launching"),
    **dict.fromkeys(("CheckOptions", "LaunchOptions"), "madctl.api.options"),
    **dict.fromkeys(("Check", "Line", "Result", "Status"), "madctl.api.results"),
    **dict.fromkeys(("Run", "run", "runs"), "madctl.api.run"),
}
__all__ = [  # noqa: PLE0604
    *("Check", "CheckOptions", "LaunchOptions", "Line", "Result", "Run", "Status", "__version__"),
    *("check", "errors", "launch", "run", "runs"),
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        return import_module("madctl.version").version()
    if name == "errors":
        return import_module("madctl.errors")
    if name not in _PLACES:
        raise AttributeError(f"module 'madctl' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
