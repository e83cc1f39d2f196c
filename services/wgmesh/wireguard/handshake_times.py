"""When handshakes happened, in steady time. WireGuard stamps them by the host's clock, which may be set at any moment.

A stamp that has changed since the last look was made since then, whatever it says. So a clock that is set makes no
handshake older or newer than it is. Only the first look of a process has nothing to hold a stamp against: it was made
by the clock as it is, or as it was when the node started. Of two possible times the later is taken, because a tunnel
that works must not pass for one that is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wgmesh.core.clock import WallClock
from wgmesh.core.model import ObservedPeer, PublicKey

_LONG_AGO = float("-inf")


class HandshakeTimes:
    """Dates the handshakes of one device. Peers that the device no longer has are forgotten."""

    def __init__(self) -> None:
        self._known: dict[PublicKey, tuple[float, float]] = {}  # the stamp, and what it was taken for
        self._looked_at = _LONG_AGO

    def date(self, peers: Iterable[ObservedPeer], wall: WallClock, now: float) -> tuple[ObservedPeer, ...]:
        """Returns the peers of a look at `now`, their stamps in Unix seconds turned into steady times."""
        seen = tuple(peers)
        known = {
            peer.public_key: (peer.handshake_at, self._dated(peer.public_key, peer.handshake_at, wall, now))
            for peer in seen
            if peer.handshake_at is not None
        }
        self._known, self._looked_at = known, now
        return tuple(
            replace(peer, handshake_at=known[peer.public_key][1]) if peer.public_key in known else peer for peer in seen
        )

    def _dated(self, key: PublicKey, stamp: float, wall: WallClock, now: float) -> float:
        before = self._known.get(key)
        if before is not None and before[0] == stamp:
            return before[1]
        if self._looked_at == _LONG_AGO:
            return max((at for at in (wall.when(stamp), stamp) if at <= now), default=now)
        return min(max(wall.when(stamp), self._looked_at), now)
