# SPDX-License-Identifier: Apache-2.0
"""One file a command: its options and what it does, side by side."""
