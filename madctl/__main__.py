# SPDX-License-Identifier: Apache-2.0
"""Let ``python -m madctl`` do what ``madctl`` does."""

import sys

from madctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
