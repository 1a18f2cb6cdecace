# SPDX-License-Identifier: Apache-2.0
"""Let ``python -m madctl`` do what ``madctl`` does."""

from madctl.cli import program

if __name__ == "__main__":
    program()
