# SPDX-License-Identifier: Apache-2.0
"""The work of commands, as functions that return results, for the command line and for Python programs."""
