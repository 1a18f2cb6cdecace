# SPDX-License-Identifier: Apache-2.0
"""Who takes part in a run, and how they are reached."""
