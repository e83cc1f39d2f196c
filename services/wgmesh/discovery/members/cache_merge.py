"""What the peer cache keeps: everybody met lately, not only who is here at the moment of writing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from wgmesh.core.model import PublicKey
from wgmesh.core.peer_cache import CachedPeer

REMEMBERED_S = 30 * 86400.0  # an address that has not answered for a month has most likely gone to somebody else
REMEMBERED_MAX = 1000  # the peer table's cap


def remember(
    earlier: Iterable[CachedPeer],
    current: Iterable[CachedPeer],
    departed: Collection[PublicKey],
    clock_s: float,
    *,
    forgets: bool,
) -> tuple[CachedPeer, ...]:
    """Returns what to write: current peers, and earlier ones that did not say goodbye, the most recent first.

    Current ones come before all others: times in a file that somebody has written may lie ahead, and must not crowd out
    who is here. `clock_s` are Unix seconds; with `forgets` what is old by them goes: a clock that nobody confirms may
    be years ahead, and then everybody would be old.
    """
    here = {peer.public_key: peer for peer in current}
    merged = {peer.public_key: peer for peer in earlier if peer.public_key not in departed} | here
    recent = [peer for peer in merged.values() if not forgets or clock_s - peer.last_seen < REMEMBERED_S]
    recent.sort(key=lambda peer: (peer.public_key not in here, -peer.last_seen, peer.public_key))
    return tuple(recent[:REMEMBERED_MAX])
