# SPDX-License-Identifier: Apache-2.0
"""
Run a program that was delivered to this node: ``madctl_node.py PROGRAM WORDS…``.

This file is beside the directories of the delivered modules, and gives them the names that they have everywhere else,
so that their imports are the same everywhere. Private to the collection.
"""

import importlib
import os
import sys

PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils"


def main() -> None:
    """Start the program that the first word names."""
    sys.dont_write_bytecode = True  # Runs share these directories, and arming compares their files.
    names = PACKAGE.split(".")
    for end in range(1, len(names) + 1):
        module = sys.modules[".".join(names[:end])] = type(sys)(".".join(names[:end]))
        module.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    importlib.import_module("%s._supervise.%s" % (PACKAGE, sys.argv.pop(1))).main()


if __name__ == "__main__":
    main()
