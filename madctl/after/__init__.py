# SPDX-License-Identifier: Apache-2.0
"""What a user requests for the end of a run: a command, a notification."""
