"""Who starts a handshake, when, and towards which candidate.

WireGuard left alone is slow in two cases: an initiation that arrives before the responder knows the initiator is lost
and repeated only after 5 s, and two ends that initiate at once can spoil each other's handshake several times. So of
two nodes of this implementation the one with the smaller key initiates, and the other waits without an endpoint, which
keeps its device from initiating. A first handshake that does not come is hurried by leaving the peer out of one
composition: the device forgets its retry timer, and the next composition initiates at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wgmesh.core.model import Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.node.liveness import REJECT_AFTER_S

KEEPALIVE_S = 25  # upstream's value: below the 30 s after which common NATs forget a UDP flow
# WireGuard restarts this timer with every packet, also one received, so of two sides with one interval chance decides
# who sends. A session is renewed after 120 s by the side that began it, and only when that sends (paper, section 6.2);
# so that side shall be the one that sends, or idle tunnels get so old that they look dead.
INITIATOR_KEEPALIVE_S = 22
RENEWAL_S = 30.0  # a session that has ended is renewed by the next keepalive; only what fails then is a reason to act
PASSIVE_NATIVE_S = (
    1.5  # several hurried tries of the other side; then it is probably behind a NAT that needs our packet
)
# After a restart of ours the other side believes in the session of our last life, and never initiates. Only where it
# has restarted too does it, so it gets the time of one handshake.
PASSIVE_MET_S = 0.3
PASSIVE_FOREIGN_S = 6.0  # upstream configures its peers on a 5 s tick and initiates by itself
HURRY_GAPS_S = (0.12, 0.5, 1.5, 4.0)  # the first for a responder a moment late, the others for slow paths
RETRY_GAP_S = 6.0  # above WireGuard's own retry of 5 s, so that it is used before the next candidate is tried
MET_BEFORE = "cache"  # discovery's word for a peer that an earlier life of this node has met
TRIES_ON_BEST = 2  # before other candidates are tried: the first try often comes before the responder is ready


@dataclass(frozen=True, slots=True)
class Attempt:
    """The tries to complete a first handshake with one peer."""

    started_at: float
    active_at: float
    try_count: int = 0
    next_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Approach:
    """How a peer shall be configured in this composition."""

    present: bool = True
    endpoint: Endpoint | None = None
    keepalive_s: int = KEEPALIVE_S


class HandshakeTable:
    """The attempts of all peers. `next_at` says when a composition is due."""

    def __init__(self, own_key: PublicKey) -> None:
        self._own_key = own_key
        self._attempts: dict[PublicKey, Attempt] = {}

    def keep(self, keys: Iterable[PublicKey]) -> None:
        """Forgets the attempts of all other peers."""
        wanted = frozenset(keys)
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in wanted}

    def next_at(self) -> float | None:
        return min((attempt.next_at for attempt in self._attempts.values()), default=None)

    def approach(self, peer: Peer, observed: ObservedPeer | None, now: float) -> Approach:
        """Decides how `peer` shall be configured at `now`, given what the device has of it."""
        handshake_at = observed.handshake_at if observed else None
        keepalive_s = self._keepalive_s(peer)
        if handshake_at is not None and now - handshake_at < REJECT_AFTER_S + RENEWAL_S:
            self._attempts.pop(peer.public_key, None)
            return Approach(
                keepalive_s=keepalive_s
            )  # connected: WireGuard's roaming knows the endpoint better than anybody
        attempt = self._attempts.get(peer.public_key)
        if attempt is None:
            attempt = self._begin(peer, had_handshake=handshake_at is not None, now=now)
        elif attempt.try_count == 0:
            attempt = self._hasten(peer, attempt, had_handshake=handshake_at is not None)
        if now < attempt.active_at:
            self._attempts[peer.public_key] = attempt
            return Approach(keepalive_s=0)
        if not peer.candidates:
            self._attempts[peer.public_key] = replace(attempt, next_at=now + RETRY_GAP_S)
            return Approach(keepalive_s=0)
        if now < attempt.next_at and attempt.try_count > 0:
            self._attempts[peer.public_key] = attempt
            return Approach(endpoint=_candidate(peer, attempt.try_count), keepalive_s=keepalive_s)
        return self._try_next(peer, attempt, observed, now)

    def _begin(self, peer: Peer, had_handshake: bool, now: float) -> Attempt:
        active_at = now + self._patience(peer, had_handshake)
        return Attempt(started_at=now, active_at=active_at, next_at=active_at)

    def _hasten(self, peer: Peer, attempt: Attempt, had_handshake: bool) -> Attempt:
        """What was heard of a peer since the beginning may tell that it need not be waited for so long."""
        active_at = attempt.started_at + self._patience(peer, had_handshake)
        return attempt if active_at >= attempt.active_at else replace(attempt, active_at=active_at, next_at=active_at)

    def _patience(self, peer: Peer, had_handshake: bool) -> float:
        """Seconds to wait for the other side's initiation."""
        if had_handshake:
            return 0.0  # a tunnel that fell silent: there is no first initiation to collide with
        if peer.native and self._own_key < peer.public_key:
            return 0.0
        if MET_BEFORE in peer.discovery_methods:
            return PASSIVE_MET_S
        return PASSIVE_NATIVE_S if peer.native else PASSIVE_FOREIGN_S

    def _try_next(self, peer: Peer, attempt: Attempt, observed: ObservedPeer | None, now: float) -> Approach:
        if observed is not None and observed.handshake_at is None:
            # Leave it out once; the composition that follows at once finds it absent and initiates.
            self._attempts[peer.public_key] = replace(attempt, next_at=now)
            return Approach(present=False, keepalive_s=self._keepalive_s(peer))
        hurried = observed is None and attempt.try_count < len(HURRY_GAPS_S)
        gap_s = HURRY_GAPS_S[attempt.try_count] if hurried else RETRY_GAP_S
        attempt = replace(attempt, try_count=attempt.try_count + 1, next_at=now + gap_s)
        self._attempts[peer.public_key] = attempt
        return Approach(endpoint=_candidate(peer, attempt.try_count), keepalive_s=self._keepalive_s(peer))

    def _keepalive_s(self, peer: Peer) -> int:
        return INITIATOR_KEEPALIVE_S if peer.native and self._own_key < peer.public_key else KEEPALIVE_S


def _candidate(peer: Peer, try_count: int) -> Endpoint:
    index = max(0, try_count - TRIES_ON_BEST) % len(peer.candidates)
    return peer.candidates[index].endpoint
