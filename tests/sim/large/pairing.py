"""A stand-in for key agreement in large meshes: a curve multiplication for each of a million pairs would take minutes.

As with the real one both sides get the same key, and each pair has another. Unlike it, anybody can compute it: a
dishonest member of a simulation must not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from wgmesh.core.keys.possession import Agreement, PairKey
from wgmesh.core.model import PublicKey


def agreements(own: PublicKey, peers: Iterable[PublicKey]) -> list[Agreement]:
    """What `own` would share with each of the peers."""
    return [Agreement(peer, _pair_key(own, peer)) for peer in peers]


def _pair_key(one: PublicKey, other: PublicKey) -> PairKey:
    return PairKey(hashlib.sha256(b"".join(sorted((one.raw, other.raw)))).digest())
