"""Who is gone: peers whose farewell nobody took back, and those that have been silent for too long."""

from __future__ import annotations

from wgmesh.discovery.candidates import LAN_FRESH_S
from wgmesh.discovery.greetings import Greetings
from wgmesh.discovery.roster import Roster
from wgmesh.discovery.state import DiscoveryState
from wgmesh.discovery.tombstones import Departure

SWEEP_GAP_S = 1.0  # expiry is not worth more than one look at the table a second


class Departures:
    """Asks whether a peer has really left, and takes those off the roster that have."""

    def __init__(self, state: DiscoveryState, roster: Roster, greetings: Greetings) -> None:
        self._state = state
        self._roster = roster
        self._greetings = greetings
        self._sweep_at: float | None = None

    def handle_timeout(self, now: float) -> None:
        """Does what is due."""
        for key in self._state.farewells.to_ask(now):
            record = self._state.table.get(key)
            if record is not None:
                self._greetings.confirm(record, now)
        for key, timestamp in self._state.farewells.due(now):
            self._roster.depart(key, Departure.GOODBYE, now, timestamp)
        if self._sweep_at is not None and now >= self._sweep_at:
            self._roster.expire(now)
            self._sweep_at = None

    def settle(self, now: float) -> None:
        """Plans the next look at the table."""
        if self._sweep_at is None and len(self._state.table):
            # whatever is heard from here on lives for 20 s at least
            due_at = self._state.table.next_expiry(now) or now
            self._sweep_at = min(max(due_at, now + SWEEP_GAP_S), now + LAN_FRESH_S)

    def poll_timeout(self) -> float | None:
        """When `handle_timeout` is due next."""
        due = (self._state.farewells.poll_timeout(), self._sweep_at)
        return min((at for at in due if at is not None), default=None)
