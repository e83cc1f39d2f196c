"""Who is gone: peers whose goodbye they did not take back, and those that have been silent for too long."""

from __future__ import annotations

from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.members.candidates import LAN_FRESH_S
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.members.tombstones import Departure

SWEEP_GAP_S = 1.0  # expiry is not worth more than one look at the table a second


class Expiry:
    """Asks whether a peer has really left, and removes those that have."""

    def __init__(self, members: Membership, hellos: Hellos) -> None:
        self._members = members
        self._hellos = hellos
        self._sweep_at: float | None = None

    def handle_timeout(self, now: float) -> None:
        """Does what is due."""
        pending = self._members.pending_goodbyes
        for key in pending.to_ask(now):
            record = self._members.table.get(key)
            if record is not None:
                self._hellos.confirm(record, now)
        for key, timestamp in pending.due(now):
            self._members.depart(key, Departure.GOODBYE, now, timestamp)
        if self._sweep_at is not None and now >= self._sweep_at:
            self._members.expire(now)
            self._sweep_at = None

    def settle(self, now: float) -> None:
        """Plans the next look at the table."""
        if self._sweep_at is None and len(self._members.table):
            # whatever is heard from here on lives for 20 s at least
            due_at = self._members.table.next_expiry(now) or now
            self._sweep_at = min(max(due_at, now + SWEEP_GAP_S), now + LAN_FRESH_S)

    def poll_timeout(self) -> float | None:
        """When `handle_timeout` is due next."""
        due = (self._members.pending_goodbyes.poll_timeout(), self._sweep_at)
        return min((at for at in due if at is not None), default=None)
