# SPDX-License-Identifier: Apache-2.0
"""
Import and read our own modules on a node that does not have their files, because they came over a channel.

This imports none of our modules, since it makes such imports possible. Private to the collection.
"""

from __future__ import annotations

import gc
import importlib
import marshal
import os
import sys
import zlib
from importlib.machinery import ModuleSpec
from typing import Any, Dict, Optional, Set, Tuple

PACKAGE = "ansible_collections.madctl.multinode.plugins.module_utils"
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) if "__file__" in globals() else ""
# Text, code as this version of Python marshals it, or both, by a module's name below the package.
Parts = Dict[str, Tuple[Optional[str], Optional[bytes]]]


class Loader:
    """Finds and loads modules that were sent over the channel."""

    def __init__(self) -> None:
        self.texts: Dict[str, str] = {}
        self._codes: Dict[str, bytes] = {}
        self._modules: Set[str] = set()
        self._packages: Set[str] = set()

    def add(self, packed: bytes) -> None:
        """Add modules, as ``bundles`` packs them."""
        parts: Parts = marshal.loads(zlib.decompress(packed))
        for name, (text, code) in parts.items():
            full = "%s.%s" % (PACKAGE, name)
            if text is not None:
                self.texts[name] = text
            if code is not None:
                self._codes[full] = code
            self._modules.add(full)
            words = full.split(".")
            self._packages.update(".".join(words[:end]) for end in range(1, len(words)))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Find one of our modules, or a package that leads to one."""
        del path, target
        if name in self._packages:
            return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # what Python expects of a loader
        return ModuleSpec(name, self) if name in self._modules else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Let Python create the module."""
        del spec

    def exec_module(self, module: Any) -> None:
        """Run a module's code; packages have none."""
        if module.__name__ in self._packages:
            return
        code = self._codes.pop(module.__name__, None)
        text = self.texts.get(module.__name__[len(PACKAGE) + 1 :], "")
        exec(marshal.loads(code) if code else compile(text, module.__name__, "exec"), module.__dict__)  # noqa: S102


_loader = Loader()


def install() -> Loader:
    """Make ``import`` find modules that are sent over the channel."""
    if not is_installed():
        sys.meta_path.insert(0, _loader)
    return _loader


def start(packed: bytes) -> None:
    """Load the first modules and become the agent, which is among them; the boot calls this."""
    # Garbage collection among modules costs a tenth of a launch here; long-lived processes turn it on again.
    gc.disable()
    sys.modules["%s._node.own_sources" % PACKAGE] = sys.modules.pop(__name__)
    install().add(packed)
    importlib.import_module("%s._node.agent" % PACKAGE).main()


def is_installed() -> bool:
    """Return whether this process has our modules from a channel."""
    return _loader in sys.meta_path


def text(name: str) -> str:
    """
    Return the text of a module below the package, such as ``_supervise.supervisor``.

    Raises:
        OSError: If it was neither sent over the channel nor is beside this file.
    """
    if name in _loader.texts:
        return _loader.texts[name]
    with open(os.path.join(_ROOT, *name.split(".")) + ".py", encoding="utf-8") as stream:
        return stream.read()
