# SPDX-License-Identifier: Apache-2.0
"""Options that need not be typed: ``madctl.toml`` of a project and of a user, and ``MADCTL_…`` variables."""
