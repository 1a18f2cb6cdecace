# SPDX-License-Identifier: Apache-2.0
"""Start one job on many GPU nodes over plain SSH, all nodes or none."""
