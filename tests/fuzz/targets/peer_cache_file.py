"""core/peer_cache.py: a state file that anything may have happened to."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.rules import check_text
from support.discovery.discovery_wire import cached_peer
from support.vectors import load_vectors
from wgmesh.core.peer_cache import decode_peer_cache, encode_peer_cache
from wgmesh.core.wire.wirefield import MAX_KNOWN_PEERS, MAX_ROUTABLE_NETWORKS

WORDS = (b'"peers":', b'"wg_pubkey":', b'"mesh_ip":', b'"last_seen":', b'"endpoint":', b'"routable_networks":', b"null")


def seeds() -> Iterable[bytes]:
    yield encode_peer_cache([cached_peer(2, "192.0.2.2"), cached_peer(3, "192.0.2.3")], 1_800_000_000)
    yield encode_peer_cache([], 0)
    yield from _texts(load_vectors("files"))


def check(data: bytes) -> None:
    decoded = decode_peer_cache(data)  # never raises
    for reason in decoded.dropped:
        check_text(reason)
    assert len(decoded.peers) <= MAX_KNOWN_PEERS
    assert all(len(peer.routable_networks) <= MAX_ROUTABLE_NETWORKS for peer in decoded.peers)
    again = decode_peer_cache(encode_peer_cache(decoded.peers, 0))
    assert (again.peers, again.dropped) == (decoded.peers, ())


def _texts(value: object) -> Iterable[bytes]:
    """Every file among the golden data that speaks of peers."""
    if isinstance(value, str) and '"peers"' in value and len(value) < 4096:
        yield value.encode()
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
