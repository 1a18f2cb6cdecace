# SPDX-License-Identifier: Apache-2.0
"""Runs: their records on this machine, and the answers of their nodes."""
