from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import mesh_ipv4, mesh_ipv6, ports
from support.vectors import load_vectors
from wgmesh.core.errors import CorruptState
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.wireguard.identity_file import StoredIdentity, decode_identity, encode_identity

UPSTREAM: bytes = load_vectors("files")["node_state"].encode()
PRIVATE_TEXT: str = json.loads(UPSTREAM)["wg_private_key"]


def test_upstreams_file_is_taken_over_and_written_back_byte_for_byte() -> None:
    identity = decode_identity(UPSTREAM, "wg0.json")
    assert identity.public_key.text == json.loads(UPSTREAM)["wg_pubkey"]
    assert identity.mesh_ipv4 == ipaddress.ip_address("10.1.2.3")
    assert identity.mesh_ipv6 == ipaddress.ip_address("fd00::1")
    assert encode_identity(identity) == UPSTREAM


@given(
    st.builds(
        StoredIdentity,
        st.binary(min_size=32, max_size=32).map(PrivateKey),
        st.none() | mesh_ipv4,
        st.none() | mesh_ipv6,
        st.none() | ports,
    )
)
def test_an_identity_round_trips(identity: StoredIdentity) -> None:
    assert decode_identity(encode_identity(identity), "wg0.json") == identity


def test_a_file_cut_at_any_byte_is_corrupt_and_says_the_way_out() -> None:
    for end in range(len(UPSTREAM)):
        with pytest.raises(CorruptState, match=r"wg0\.json .* backup"):
            decode_identity(UPSTREAM[:end], "wg0.json")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"wg_pubkey": "BYfJ6fHnyw6jzlwYG+8UalnWZOj9m/qJfO7s+2GIMnY="}, "not the public half"),
        ({"wg_pubkey": ""}, "wg_pubkey: not a WireGuard key"),
        ({"wg_private_key": ""}, "wg_private_key: not a WireGuard key"),
        ({"wg_private_key": None}, "wg_private_key: not a WireGuard key"),
        ({"mesh_ip": "10.1.2"}, "mesh_ip: not"),
        ({"mesh_ipv6": "10.1.2.3"}, "mesh_ipv6: not"),
        ({"listen_port": 0}, "listen_port: not"),
        ({"listen_port": "51820"}, "listen_port: not"),
    ],
)
def test_a_damaged_member_is_corrupt_and_never_replaced(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(CorruptState, match=problem) as caught:
        decode_identity(json.dumps({**json.loads(UPSTREAM), **change}).encode(), "wg0.json")
    assert PRIVATE_TEXT not in str(caught.value)


def test_an_empty_object_is_corrupt_where_upstream_goes_on_with_empty_keys() -> None:
    with pytest.raises(CorruptState):
        decode_identity(b"{}", "wg0.json")


def test_addresses_may_be_missing() -> None:
    members = json.loads(UPSTREAM)
    del members["mesh_ip"], members["mesh_ipv6"]
    identity = decode_identity(json.dumps(members).encode(), "wg0.json")
    assert identity.mesh_ipv4 is None and identity.mesh_ipv6 is None


@given(st.binary())
def test_any_bytes_are_an_identity_or_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptState):
        decode_identity(data, "wg0.json")


def test_the_repr_shows_no_private_key() -> None:
    assert PRIVATE_TEXT not in repr(decode_identity(UPSTREAM, "wg0.json"))
