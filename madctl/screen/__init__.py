# SPDX-License-Identifier: Apache-2.0
"""Everything that is printed, and how."""
