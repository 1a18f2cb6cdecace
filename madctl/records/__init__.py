# SPDX-License-Identifier: Apache-2.0
"""Runs: what this machine remembers of them, and what their nodes say."""
