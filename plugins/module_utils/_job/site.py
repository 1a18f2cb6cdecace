# SPDX-License-Identifier: Apache-2.0
"""
What a scheduler gives to a conductor: nodes, a request, orders, and places for the story and the state of the run.

Private to the collection.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from ansible_collections.madctl.multinode.plugins.module_utils._common.codes import Problem
from ansible_collections.madctl.multinode.plugins.module_utils._common.event_loop import Loop
from ansible_collections.madctl.multinode.plugins.module_utils._conduct.agents import Agents
from ansible_collections.madctl.multinode.plugins.module_utils._ways.dialled import Door

Arguments = Dict[str, Any]
Result = Dict[str, Any]


class SiteError(ValueError):
    """No run can be conducted here; the message says why."""


class Story:
    """Receives the events and the output of a run."""

    # The events and output that could not be kept.
    trouble: Optional[Problem] = None

    @property
    def whole(self) -> Set[Tuple[str, str]]:
        """Host and name of each log that is kept completely."""
        return set()

    def tell(self, event: Dict[str, Any], payload: bytes) -> None:
        """Add one event, or output."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish: have all of it kept."""


class Arrivals:
    """Waits for the agents of all nodes; a context manager that lets them end."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def __enter__(self) -> Arrivals:
        return self

    def __exit__(self, *_: object) -> None:
        self.door.close()

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> List[Problem]:
        """Wait until all agents have dialled in, and return why some did not."""
        raise NotImplementedError


class Site:
    """One job of a scheduler, as its conductor sees it."""

    # The names of the nodes, in the order of their numbers.
    hosts: List[str]
    # What to do: ``arguments``, ``agents_seconds``, perhaps ``only``.
    given: Dict[str, Any]
    python: str
    # How often to look for orders, in seconds.
    order_seconds: float
    # Whether the scheduler may end a node's part and notify only that node.
    ends_parts = False
    # A directory for the latest sample of each node, if nodes cannot be queried from outside.
    samples: Optional[str] = None

    def arguments(self, filled: Arguments) -> Arguments:
        """Return the arguments of the launch for these nodes."""
        return filled

    def story(self, log_cap: int) -> Story:
        """Begin the story of the run."""
        raise NotImplementedError

    def show(self, stage: str, shown: Mapping[str, Any]) -> None:
        """
        Show the state of the run.

        Args:
            shown: What ``progress`` knows.
        """
        raise NotImplementedError

    def replan(self, plan: Mapping[str, Any]) -> None:
        """Keep the plan of a restart for those who do not read the whole story."""

    def order(self) -> Optional[bytes]:
        """Return the user's order, as it is sent over a channel; None if there is none."""
        raise NotImplementedError

    def door(self, loop: Loop) -> Door:
        """
        Listen at an address that nodes can dial.

        Raises:
            SiteError: If that is not possible.
        """
        raise NotImplementedError

    def arrivals(self, door: Door) -> Arrivals:
        """Return the object that waits for the agents of all nodes."""
        raise NotImplementedError

    def is_ending(self) -> bool:
        """Return whether the scheduler says that it ends the job, even if its signal has not arrived yet."""
        return False

    def grace(self, seconds: float, has_models: bool) -> float:
        """Return how long ranks may take to end, which is less than the time that the scheduler gives the whole job."""
        del has_models
        return seconds

    def leave(
        self, agents: Agents, base: str, result: Result, story: Story, is_ended: bool
    ) -> Optional[Dict[str, Any]]:
        """
        Have nodes save the files worth keeping, and remove their part of the run.

        Args:
            base: The directory of runs on nodes.
            is_ended: Whether the scheduler is about to kill.

        Returns:
            ``run_dir`` and ``why`` by host, for parts that are still on their node; None if parts end with their node.
        """
