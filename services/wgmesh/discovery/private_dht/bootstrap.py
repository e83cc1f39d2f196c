"""Nodes through which a member may enter the private DHT: those it was given, and those that it once knew."""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.core.model import Endpoint

MAX_NODES = 200  # of each kind
TURN = 4  # of each kind at a time


class BootstrapNodes:
    """Both kinds take turns, so that dead ones never stand in the way for long."""

    def __init__(self) -> None:
        self._given: list[Endpoint] = []
        self.remembered: list[Endpoint] = []

    def give(self, endpoints: Iterable[Endpoint]) -> None:
        """Makes these all that the operator has named."""
        self._given = list(dict.fromkeys(endpoints))[:MAX_NODES]

    def remember(self, *endpoints: Endpoint) -> None:
        """Takes nodes that may be there; they come next. Those that were tried longest ago go first."""
        self.remembered = list(dict.fromkeys((*endpoints, *self.remembered)))[:MAX_NODES]

    def turn(self) -> list[Endpoint]:
        """Returns the next few of both kinds."""
        given, remembered = self._given[:TURN], self.remembered[:TURN]
        self._given = self._given[TURN:] + given
        self.remembered = self.remembered[TURN:] + remembered
        return list(dict.fromkeys(given + remembered))
