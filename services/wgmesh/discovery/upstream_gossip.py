"""Upstream's gossip, for upstream's peers: a list pushed through the tunnel, which they merge into what they have."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.sansio import Transmit
from wgmesh.discovery.greetings import Greetings
from wgmesh.discovery.state import DiscoveryState

INTERVAL_S = 10.0  # upstream's (protocol notes, section 13)


class UpstreamGossip:
    """Pushes to one of upstream's peers every ten seconds, once it was begun."""

    def __init__(self, state: DiscoveryState, greetings: Greetings, random_unit: Callable[[], float]) -> None:
        self._state = state
        self._greetings = greetings
        self._random_unit = random_unit
        self._next_at: float | None = None

    def begin(self, now: float) -> None:
        if self._next_at is None:
            self._next_at = now + INTERVAL_S

    def handle_timeout(self, now: float) -> None:
        if self._next_at is None or now < self._next_at:
            return
        self._next_at = now + INTERVAL_S
        state = self._state
        reachable = [record for record in state.table.records() if record.is_proven(now) and not record.facts.native]
        if not reachable or not state.announcer.own_candidates():
            return
        record = reachable[min(int(self._random_unit() * len(reachable)), len(reachable) - 1)]
        to = self._greetings.tunnel_address(record)
        state.outbox.send(Transmit(state.announcer.announce(to, now, self._greetings.known_to(record.key)), to))

    def poll_timeout(self) -> float | None:
        return self._next_at
