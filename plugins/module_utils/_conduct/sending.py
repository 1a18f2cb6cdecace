# SPDX-License-Identifier: Apache-2.0
"""
Send a tree of code to the nodes that lack it, all at once, before each of them is probed.

A node reports which files it lacks and how many pieces it has taken; a bounded number of pieces is in flight. Every
file is read once for all nodes that lack the same. A node that takes nothing, or requests something that does not
exist, is refused alone; a file that changes ends the sending to all nodes. Private to the collection.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common import codes, manifest
from ansible_collections.madctl.multinode.plugins.module_utils._common.refusal import Refused
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.streams import Answer, Call, Task
from ansible_collections.madctl.multinode.plugins.module_utils._sync import packing
from ansible_collections.madctl.multinode.plugins.module_utils._sync.reading import Tree

_STORE = "_sync.storing:store"
# Pieces in flight to a node: 4 MiB.
_WINDOW = 16
_SECONDS = 3600.0
# How long nodes that know what they lack wait for others: files that all of them lack are read once.
_TOGETHER_SECONDS = 1.0
# In the meantime, a node copies what it already has, and writes to its disk.
_SILENCE_SECONDS, _LOOK_SECONDS = 60.0, 5.0
_MESSAGE = 400  # characters

Stored = Callable[[Optional[str]], None]
Failed = Callable[[codes.Problem], None]


class _Node:
    """One node that a tree is sent to."""

    def __init__(self, stored: Stored, failed: Failed) -> None:
        self.stored, self.failed = stored, failed
        self.call: Optional[Call] = None
        # The numbers of the files that it lacks, once it has reported them, and where their content comes from.
        self.wanted: Optional[Tuple[int, ...]] = None
        self.source: Optional[packing.Source] = None
        self.sent = self.taken = 0
        self.heard = time.monotonic()

    @property
    def is_waiting(self) -> bool:
        """Whether it has taken everything, and has to wait for others."""
        return self.source is not None and self.source.is_held and self.sent == self.taken


class Sending:
    """Sends one tree; ``trouble`` is what ended the sending to all nodes."""

    def __init__(self, agents: Agents, tree: Tree, run_dir: Optional[str], only_look: bool) -> None:
        """
        Prepare.

        Args:
            run_dir: The base directory of runs on nodes, None for the usual one.
            only_look: Whether nothing may be written on nodes.
        """
        self._agents, self._tree = agents, tree
        self._request = {"tree": tree.identity, "run_dir": run_dir, "only_look": only_look}
        self._nodes: Dict[str, _Node] = {}
        self._sources: Dict[Tuple[int, ...], packing.Source] = {}
        self._is_over = False
        self.trouble: Optional[codes.Problem] = None
        # How many bytes were sent, to which nodes; if nothing may be written, the nodes that lack it.
        self.sent = 0
        self.receivers: Set[str] = set()
        self.has_answers = False
        agents.loop.after(_LOOK_SECONDS, self._look)

    def begin(self, host: str, stored: Stored, failed: Failed) -> None:
        """
        Make sure that a node has the tree.

        Args:
            stored: Gets the directory on the node, None if it would have to be written.
            failed: Gets why the node does not have it.
        """
        self._nodes[host] = _Node(stored, failed)
        self._agents.call(
            host,
            Task(
                *(_STORE, self._request, partial(self._answered, host), _SECONDS),
                told=partial(self._told, host),
                started=partial(self._started, host),
                is_wanted=lambda: self.trouble is None,
                # So that it can clean up when the sender stops.
                finishes=True,
            ),
        )

    def end(self) -> None:
        """Send nothing more; nodes remove the parts they have."""
        self._is_over = True
        for host in list(self._nodes):
            node = self._drop(host)
            if node.call is not None:
                node.call.end_input()

    # -- what a node reports -------------------------------------------------------------------------

    def _started(self, host: str, call: Call) -> None:
        node = self._nodes.get(host)
        if node is None:
            call.drop()
            return
        node.call, node.heard = call, time.monotonic()

    def _told(self, host: str, news: Dict[str, Any]) -> None:
        node = self._nodes.get(host)
        if node is None or node.call is None:
            return
        node.heard = time.monotonic()
        try:
            if news.get("lacks") and host not in self.receivers:
                self.receivers.add(host)
                self._give(node.call, packing.manifest_of(self._tree))
            elif "missing" in news and node.wanted is None:
                node.wanted = tuple(manifest.numbers(news["missing"], self._tree.entries))
                self._agents.loop.after(_TOGETHER_SECONDS, lambda: self._begin(list(self._nodes)))
                self._go_on()
            elif "taken" in news and node.taken < news["taken"] <= node.sent:
                node.taken = news["taken"]
            else:
                raise manifest.ManifestError("it asks for code in the wrong order")
            self._pump(host, node)
        except manifest.ManifestError as error:
            self._refuse(host, str(error))
        except Refused as refused:
            self.trouble = refused.problem

    def _go_on(self) -> None:
        """Send once every node has reported what it lacks, so that they share one source; also send whatever waits."""
        if all(node.wanted is not None for node in self._nodes.values()):
            self._begin(list(self._nodes))
        else:
            self._pump_all(list(self._nodes))

    def _begin(self, hosts: List[str]) -> None:
        """Begin to send to nodes that wait for others, if they still wait."""
        for host in hosts:
            node = self._nodes.get(host)
            if node is None or node.wanted is None or node.source is not None:
                continue
            source = self._sources.get(node.wanted)
            if source is None or not source.is_at_its_beginning:
                source = self._sources[node.wanted] = packing.Source(self._tree, node.wanted)
            node.source = source
            source.join(host)
        self._pump_all(hosts)

    def _pump_all(self, hosts: List[str]) -> None:
        try:
            for host in hosts:
                if host in self._nodes and self.trouble is None:
                    self._pump(host, self._nodes[host])
        except Refused as refused:
            self.trouble = refused.problem

    def _pump(self, host: str, node: _Node) -> None:
        """Send as much as a node accepts now, and whatever this allows others to have."""
        if node.source is None or node.call is None:
            return
        was_held = node.source.is_held
        while node.sent - node.taken < _WINDOW:
            piece = node.source.next_for(host)
            if piece is None:
                break
            node.sent += 1
            self._give(node.call, piece)
        if was_held and not node.source.is_held:
            for other, own in list(self._nodes.items()):
                if own.source is node.source and own is not node:
                    self._pump(other, own)

    def _give(self, call: Call, data: bytes) -> None:
        self.sent += len(data)
        call.give(data)

    def _answered(self, host: str, answer: Answer) -> None:
        if host not in self._nodes:
            return
        node = self._drop(host)
        if "place" in answer:
            self.has_answers = True
            if answer["place"] is None:
                self.receivers.add(host)
            node.stored(answer["place"])
        elif "problem" in answer:
            node.failed(answer["problem"])
        else:
            message = " ".join(str(answer.get("msg", "")).split())[-_MESSAGE:]
            node.failed(codes.problem("SYNC_FAILED", host, "the code could not be stored: %s" % message))

    # -- the end of a node's part ----------------------------------------------------------------

    def _refuse(self, host: str, why: str) -> None:
        node = self._drop(host)
        if node.call is not None:
            node.call.drop()
        node.failed(codes.problem("SYNC_FAILED", host, "the code could not be stored: %s" % why))

    def _drop(self, host: str) -> _Node:
        node = self._nodes.pop(host)
        if node.source is not None:
            node.source.leave(host)
        self._agents.loop.after(0.0, self._go_on)
        return node

    def _look(self) -> None:
        """Give up nodes that accept nothing."""
        now = time.monotonic()
        for host, node in list(self._nodes.items()):
            if node.is_waiting:
                node.heard = now
            elif node.call is not None and now - node.heard > _SILENCE_SECONDS:
                self._refuse(host, "it took nothing for %g s" % _SILENCE_SECONDS)
        if not self._is_over:
            self._agents.loop.after(_LOOK_SECONDS, self._look)
