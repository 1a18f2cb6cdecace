# SPDX-License-Identifier: Apache-2.0
"""The nodes that take part in a run, and how they are reached."""
