# SPDX-License-Identifier: Apache-2.0
"""What a user wants done after the end of a run: a command, a notification."""
