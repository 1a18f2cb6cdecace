# SPDX-License-Identifier: Apache-2.0
"""
Pack our modules for nodes: everything that a function needs, as code or as text.

A node whose Python has our version gets code, which saves half of its work. All others get text. Private to the
collection.
"""

from __future__ import annotations

import functools
import marshal
import os
import re
import zlib
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from typing import Any, Dict, FrozenSet, Iterator, List, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import run_directory
from ansible_collections.madctl.multinode.plugins.module_utils._node import own_sources

_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_IMPORT = re.compile(r"^ *from %s\.([\w.]+) import (\([^)]*\)|[^\n#]*)" % re.escape(own_sources.PACKAGE), re.MULTILINE)
_FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?: +[^\n]*\n|\n)+", re.MULTILINE)  # Not needed on a node.
_MARSHAL_VERSION = 2  # which every Python 3 reads
# What nodes start from files. madctl_node starts all except the stand-alone ones: the wrapper of a rank and the agent.
_PROGRAMS = (
    *(run_directory.SUPERVISOR, run_directory.MADENGINE_WRAPPER, run_directory.CONTAINER_REMOVAL),
    *("rank_wrapper", "mpi_agent"),
)
_LAUNCHER = "_supervise.madctl_node"
OURS = MAGIC_NUMBER.hex()


@functools.lru_cache(maxsize=None)
def closure(*modules: str) -> Tuple[str, ...]:
    """Return the names of modules and of all that they import from the package, dependencies first."""
    found: List[str] = []

    def add(name: str) -> None:
        for other in _imported(name):
            if other not in found:
                add(other)
        if name not in found:
            found.append(name)

    for module in modules:
        add(module)
    return tuple(found)


@functools.lru_cache(maxsize=None)
def _imported(name: str) -> Tuple[str, ...]:
    return tuple(_imports(own_sources.text(name)))


def _imports(text: str) -> Iterator[str]:
    """Find the imports of a module in its text, at a hundredth of the cost of parsing it."""
    for room, names in _IMPORT.findall(_FOR_TYPES.sub("", text)):
        # Whatever is imported from a module is part of it; whatever is imported from a folder is a module.
        is_folder = os.path.isdir(os.path.join(_DIRECTORY, *room.split(".")))
        found = re.findall(r"(?<! as )\b(?!as\b)\w+", names)
        yield from ["%s.%s" % (room, name) for name in found] if is_folder else [room]


def programs() -> Tuple[str, ...]:
    """Return the names of what nodes keep as files: the programs and everything they import."""
    return (*closure(*("_supervise." + name for name in _PROGRAMS)), _LAUNCHER)


def delivered() -> Dict[str, str]:
    """Return the text of every file that nodes keep, by its path."""
    return {path(name): own_sources.text(name) for name in programs()}


def path(name: str) -> str:
    """Return the path of a module among the delivered files."""
    return run_directory.LAUNCHER if name == _LAUNCHER else name.replace(".", "/") + ".py"


@functools.lru_cache(maxsize=None)
def packed(names: Tuple[str, ...], as_text: FrozenSet[str], magic: str) -> bytes:
    """
    Pack modules for nodes with one version of Python.

    Args:
        as_text: The modules that are also packed as text.
        magic: The version of the node's Python, as its ``MAGIC_NUMBER``.
    """
    same = magic == OURS
    parts: own_sources.Parts = {
        name: (
            own_sources.text(name) if not same or name in as_text else None,
            marshal.dumps(_code(name)) if same else None,
        )
        for name in names
    }
    return zlib.compress(marshal.dumps(parts, _MARSHAL_VERSION))


def first(magic: str) -> bytes:
    """Pack what a node's boot needs to load the rest: a byte for code or text, its size, and its bytes."""
    name = "_node.own_sources"
    same = magic == OURS
    data = zlib.compress(marshal.dumps(_code(name)) if same else own_sources.text(name).encode())
    rest = packed(closure("_node.agent"), frozenset(), magic)
    return b"%s%08x%s%08x%s" % (b"c" if same else b"t", len(data), data, len(rest), rest)


@functools.lru_cache(maxsize=None)
def _code(name: str) -> Any:
    # From Python's cache of compiled files: Ansible's import system has none, and would compile everything in each
    # worker.
    full = "%s.%s" % (own_sources.PACKAGE, name)
    return SourceFileLoader(full, os.path.join(_DIRECTORY, *name.split(".")) + ".py").get_code(full)


BOOT = """\
import marshal,os,sys,zlib
from _frozen_importlib_external import MAGIC_NUMBER
os.write(1,("\\n%s "+MAGIC_NUMBER.hex()+"\\n").encode())
def take(n):
 d=b""
 while len(d)<n:
  p=os.read(0,n-len(d))
  if not p:sys.exit()
  d+=p
 return d
k=take(1)
t=zlib.decompress(take(int(take(8),16)))
m=type(sys)("own_sources")
sys.modules["own_sources"]=m
exec(marshal.loads(t) if k==b"c" else t,m.__dict__)
m.start(take(int(take(8),16)))
"""


def boot(mark: str) -> str:
    """Write the first program of an agent: it prints a mark and its Python's version, and loads ``first``."""
    return BOOT % mark
