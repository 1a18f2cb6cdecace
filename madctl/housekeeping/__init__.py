# SPDX-License-Identifier: Apache-2.0
"""Leftovers of earlier runs, on nodes and on this machine."""
