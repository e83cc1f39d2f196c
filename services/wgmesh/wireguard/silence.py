"""Who does not answer: concluded from WireGuard's own counters, at each look at the device.

WireGuard answers whatever carries data: with data, or with a keepalive within 10 s. It answers an initiation at once.
So a peer to which more was sent than keepalives, and of which nothing has come for 15 s, is not there, or not on this
path; WireGuard itself begins a new handshake then. A peer that answers no probe and no ping of ours answers that all
the same.

What does not count as an answer: initiations that are repeated while no handshake completes. They show that the peer
does not hear us. Initiations are the only messages whose length is no multiple of 16 but for 4 bytes, and there are few
between two looks, so they can be told from data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wgmesh.core.model import ObservedPeer, PublicKey

# specification (WireGuard paper, sections 5.4 and 6.1)
KEEPALIVE_BYTES = 32
INITIATION_BYTES = 148
UNANSWERED_S = 15.0  # KEEPALIVE_TIMEOUT and REKEY_TIMEOUT: from then on WireGuard, too, takes the session as lost

# After an address of this host has gone every path is in doubt, and each is tested at once: a round trip is enough.
UNANSWERED_AFTER_MOVE_S = 2.0
KEEPALIVES_UNASKED = 2  # one of a timer that has just run, and one that says that the last data has come
INITIATIONS_MAX = 3  # between two looks: one in 5 s


@dataclass(frozen=True, slots=True)
class _Memory:
    """One peer at the last look. `answered_at` is the look that last saw an answer, `tx_then` what was sent by then."""

    rx_bytes: int
    tx_bytes: int
    handshake_at: float | None
    tx_then: int
    answered_at: float
    asked_at: float | None = None


class SilenceMemory:
    """Remembers what was sent and what came. `now` is seconds on the clock of the observed handshakes."""

    def __init__(self) -> None:
        self._peers: dict[PublicKey, _Memory] = {}
        self._moved_at: float | None = None
        self._has_traffic = False

    def note_move(self, now: float) -> None:
        """An address of this host has gone."""
        self._moved_at = now

    def observe(self, peers: Iterable[ObservedPeer], now: float) -> tuple[ObservedPeer, ...]:
        """Takes one look, and returns its peers with what is concluded. Peers that are gone are forgotten."""
        seen, before = tuple(peers), self._peers
        self._peers = {peer.public_key: self._advance(peer, now) for peer in seen}
        self._has_traffic = any(
            peer.tx_bytes - before[peer.public_key].tx_bytes > KEEPALIVES_UNASKED * KEEPALIVE_BYTES
            for peer in seen
            if peer.public_key in before
        )
        return tuple(self._marked(peer, now) for peer in seen)

    def is_curious(self, now: float) -> bool:
        """Whether the next look may decide something: data flows, or an answer is due."""
        return self._has_traffic or any(
            memory.asked_at is not None and now - memory.asked_at < 2 * UNANSWERED_S for memory in self._peers.values()
        )

    def _advance(self, peer: ObservedPeer, now: float) -> _Memory:
        before = self._peers.get(peer.public_key)
        fresh = _Memory(peer.rx_bytes, peer.tx_bytes, peer.handshake_at, peer.tx_bytes, now)
        if before is None or peer.handshake_at is None or peer.tx_bytes < before.tx_then:
            return fresh  # the first look, no session yet, or counters that have started again
        received = peer.rx_bytes - before.rx_bytes
        is_knocking = received in range(INITIATION_BYTES, INITIATION_BYTES * INITIATIONS_MAX + 1, INITIATION_BYTES)
        if peer.handshake_at != before.handshake_at or (received and not is_knocking):
            return fresh
        asked_at = before.asked_at
        if asked_at is None and (is_knocking or _is_asking(peer, before, now)):
            asked_at = now
        return replace(before, rx_bytes=peer.rx_bytes, tx_bytes=peer.tx_bytes, asked_at=asked_at)

    def _marked(self, peer: ObservedPeer, now: float) -> ObservedPeer:
        memory = self._peers[peer.public_key]
        has_moved = self._moved_at is not None and self._moved_at >= memory.answered_at
        patience_s = UNANSWERED_AFTER_MOVE_S if has_moved else UNANSWERED_S
        is_silent = memory.asked_at is not None and now - memory.asked_at >= patience_s
        since = memory.asked_at if is_silent else None
        return peer if since == peer.unanswered_since else replace(peer, unanswered_since=since)


def _is_asking(peer: ObservedPeer, before: _Memory, now: float) -> bool:
    """Whether more was sent since the last answer than keepalives, which nobody answers."""
    interval_s = peer.persistent_keepalive_s
    keepalives = KEEPALIVES_UNASKED + (int((now - before.answered_at) / interval_s) if interval_s else 0)
    return peer.tx_bytes - before.tx_then > keepalives * KEEPALIVE_BYTES
