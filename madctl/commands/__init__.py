# SPDX-License-Identifier: Apache-2.0
"""One file per command, with its options and its work."""
