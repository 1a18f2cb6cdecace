# SPDX-License-Identifier: Apache-2.0
"""Options that nobody has to type: ``madctl.toml`` of a project and of a user, and ``MADCTL_…`` variables."""
