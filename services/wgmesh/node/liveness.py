"""Whether packets flow to a peer: claimed only from proof on the data path, and always with an age."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wgmesh.core.model import ObservedPeer, PublicKey
from wgmesh.core.wireguard_times import REJECT_AFTER_S

# specification


class Liveness(StrEnum):
    """A verdict on one configured peer."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    SUSPECT = "suspect"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict, when it was last proven, and why it is not CONNECTED."""

    liveness: Liveness
    proven_at: float | None = None
    reason: str = ""


class TrafficMemory:
    """Remembers when the received bytes of each peer last grew.

    Only received bytes count: a device counts its own handshake retries as sent (weakness 80).
    """

    def __init__(self) -> None:
        self._seen: dict[PublicKey, tuple[int, float | None]] = {}

    def observe(self, peers: Iterable[ObservedPeer], now: float) -> None:
        """Takes the counters of all peers of the device; peers that are gone are forgotten."""
        self._seen = {peer.public_key: self._advance(peer, now) for peer in peers}

    def _advance(self, peer: ObservedPeer, now: float) -> tuple[int, float | None]:
        before = self._seen.get(peer.public_key)
        if before is None or peer.rx_bytes < before[0]:
            return peer.rx_bytes, None  # the first look, or counters that started again: no growth was seen
        return peer.rx_bytes, now if peer.rx_bytes > before[0] else before[1]

    def grew_at(self, key: PublicKey) -> float | None:
        seen = self._seen.get(key)
        return seen[1] if seen is not None else None


def judge(peer: ObservedPeer | None, grew_at: float | None, now: float) -> Verdict:
    """Judges a peer from its handshake and its traffic. `peer` None means that the device does not have it."""
    if peer is None or peer.handshake_at is None:
        return Verdict(Liveness.CONNECTING, None, "no handshake has completed yet")
    proven_at = max(peer.handshake_at, grew_at or peer.handshake_at)
    if peer.unanswered_since is not None:
        proven_at = min(proven_at, peer.unanswered_since)  # what came since then is no more than tries to begin again
        if now - proven_at < REJECT_AFTER_S:
            unanswered_s = int(now - peer.unanswered_since)
            reason = f"what was sent is not answered since {unanswered_s} s; last proven {int(now - proven_at)} s ago"
            return Verdict(Liveness.SUSPECT, proven_at, reason)
    if now - proven_at < REJECT_AFTER_S:
        return Verdict(Liveness.CONNECTED, proven_at)
    return Verdict(Liveness.STALE, proven_at, f"nothing was received for {int(now - proven_at)} s")
