from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from support.announcements import (
    advertised,
    hostnames,
    json_values,
    mesh_ipv4,
    mesh_ipv6,
    nat_types,
    networks,
    public_keys,
)
from support.vectors import load_vectors
from wgmesh.core.peer_cache import CachedPeer, decode_peer_cache, encode_peer_cache

UPSTREAM: bytes = load_vectors("files")["peer_cache"].encode()
EMPTY: bytes = load_vectors("files")["peer_cache_empty"].encode()
ENTRY = json.loads(UPSTREAM)["peers"][0]

cached_peers = st.builds(
    CachedPeer,
    public_keys,
    mesh_ipv4,
    st.integers(0, 2**40),
    st.none() | mesh_ipv6,
    hostnames,
    st.none() | advertised,
    st.booleans(),
    st.lists(networks, max_size=4).map(tuple),
    nat_types,
)


def test_upstreams_cache_is_read_and_written_back_byte_for_byte() -> None:
    decoded = decode_peer_cache(UPSTREAM)
    assert decoded.dropped == () and len(decoded.peers) == 1
    assert encode_peer_cache(decoded.peers, json.loads(UPSTREAM)["updated_at"]) == UPSTREAM


def test_upstreams_empty_cache_is_read_and_written_back_byte_for_byte() -> None:
    assert decode_peer_cache(EMPTY).peers == ()
    assert encode_peer_cache((), json.loads(EMPTY)["updated_at"]) == EMPTY


@given(st.lists(cached_peers, max_size=4, unique_by=lambda peer: peer.public_key))
def test_a_cache_round_trips(peers: list[CachedPeer]) -> None:
    decoded = decode_peer_cache(encode_peer_cache(peers, 1))
    assert (list(decoded.peers), decoded.dropped) == (peers, ())


def test_a_file_cut_at_any_byte_yields_no_peers_and_no_error() -> None:
    for end in range(len(UPSTREAM)):
        decoded = decode_peer_cache(UPSTREAM[:end])
        assert decoded.peers == () and decoded.dropped


def test_a_bad_entry_is_dropped_alone() -> None:
    poison = [{**ENTRY, "wg_pubkey": "test-pubkey"}, {**ENTRY, "last_seen": "now"}, {**ENTRY, "endpoint": "x"}, None, 7]
    decoded = decode_peer_cache(json.dumps({"peers": [*poison, ENTRY]}).encode())
    assert [peer.public_key.text for peer in decoded.peers] == [ENTRY["wg_pubkey"]]
    assert len(decoded.dropped) == len(poison)


def test_a_bad_route_is_dropped_alone() -> None:
    decoded = decode_peer_cache(
        json.dumps({"peers": [{**ENTRY, "routable_networks": ["x", "10.9.0.0/16", 3]}]}).encode()
    )
    assert [str(network) for network in decoded.peers[0].routable_networks] == ["10.9.0.0/16"]
    assert len(decoded.dropped) == 2


def test_a_key_that_comes_twice_is_kept_once() -> None:
    decoded = decode_peer_cache(json.dumps({"peers": [ENTRY, ENTRY]}).encode())
    assert len(decoded.peers) == 1 and decoded.dropped == ("wg_pubkey: comes twice",)


@given(st.binary() | json_values.map(lambda value: json.dumps({"peers": [value]}).encode()))
def test_any_bytes_give_a_list(data: bytes) -> None:
    assert decode_peer_cache(data).peers == ()
