# SPDX-License-Identifier: Apache-2.0
"""What earlier runs left, on nodes and on this machine."""
