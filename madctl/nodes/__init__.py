# SPDX-License-Identifier: Apache-2.0
"""Who takes part in a run, how they are reached, and what this machine remembers of runs."""
