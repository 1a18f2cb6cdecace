# SPDX-License-Identifier: Apache-2.0
"""
Run one of our programs from shared storage: ``madctl_job.py MODULE WORDS…``, such as ``_job.conduct``.

The modules are beside this file, and get the names that they have everywhere else. Private to the collection.
"""

import importlib
import os
import sys

PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils"
MODULES = "modules"


def main() -> None:
    """Start the module that the first word names."""
    sys.dont_write_bytecode = True  # All nodes, and all runs of this version, share these directories.
    names = PACKAGE.split(".")
    for end in range(1, len(names) + 1):
        module = sys.modules[".".join(names[:end])] = type(sys)(".".join(names[:end]))
        module.__path__ = [os.path.join(os.path.dirname(os.path.abspath(__file__)), MODULES)]
    importlib.import_module("%s.%s" % (PACKAGE, sys.argv.pop(1))).main()


if __name__ == "__main__":
    main()
