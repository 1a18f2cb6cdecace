# SPDX-License-Identifier: Apache-2.0
"""Make ``python -m madctl`` the same as ``madctl``."""

from madctl.cli import program

if __name__ == "__main__":
    program()
