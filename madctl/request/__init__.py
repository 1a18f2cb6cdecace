# SPDX-License-Identifier: Apache-2.0
"""What a command line requests: its options, and the roles' variables made from them."""
