"""Who may start, and who may stop: computed from the states in each turn, never remembered."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from wgmesh.core.errors import InvalidInput
from wgmesh.supervisor.lifecycle import IS_OVER, IS_STOPPING, State

Requirements = Mapping[str, frozenset[str]]
States = Mapping[str, State]


def check(requires: Requirements) -> None:
    """Raises InvalidInput if a child requires one that is not there, or itself through others."""
    for name, required in requires.items():
        missing = sorted(required - requires.keys())
        if missing:
            raise InvalidInput(f"Child {name} requires {', '.join(missing)}, which is not among the children.")
    try:
        TopologicalSorter(requires).prepare()
    except CycleError as error:
        raise InvalidInput(f"Children require each other in a circle: {' -> '.join(error.args[1])}.") from None


def startable(requires: Requirements, states: States) -> tuple[str, ...]:
    """Returns the children that wait while everything they require is running, in the given order."""
    return tuple(
        name
        for name, required in requires.items()
        if states[name] is State.WAITING and all(states[other] is State.RUNNING for other in required)
    )


def stoppable(requires: Requirements, states: States) -> tuple[str, ...]:
    """Returns the children that are neither over nor being stopped, and that nobody still alive requires."""
    needed = {other for name, required in requires.items() if states[name] not in IS_OVER for other in required}
    return tuple(name for name in requires if name not in needed and states[name] not in IS_OVER | IS_STOPPING)
