# SPDX-License-Identifier: Apache-2.0
"""Properties are tried with the same examples every time, however slow the machine."""

from hypothesis import settings

settings.register_profile("madctl", derandomize=True, deadline=None)
settings.load_profile("madctl")
