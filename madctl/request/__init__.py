# SPDX-License-Identifier: Apache-2.0
"""What a command line asks for: its options, and the variables of the roles that they become."""
