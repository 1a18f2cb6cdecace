# SPDX-License-Identifier: Apache-2.0
"""What commands do, as functions that return what is known; for the command line and for programs in Python."""
