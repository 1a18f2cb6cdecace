# SPDX-License-Identifier: Apache-2.0
"""One file per command: its options and what it does, side by side."""
