from __future__ import annotations

import ipaddress
from functools import cache
from typing import Any

import pytest
from support.vectors import load_vectors
from wgmesh.core.addressing import (
    NONCES_MAX,
    claimed_nonce,
    derive_ipv4,
    derive_ipv4_variant,
    derive_ipv6,
    free_ipv4,
    mesh_ipv4_network,
    parse_mesh_subnet,
)
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.keys.keyschedule import MeshKeys, derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey


@cache
def _mesh(text: str) -> tuple[Secret, MeshKeys]:
    secret = Secret(text)
    return secret, derive(secret)


def _with_real_keys(section: str) -> list[tuple[dict[str, Any], PublicKey]]:
    """The cases of a section, less those without a WireGuard key: such a peer is refused before it has an address."""
    cases = [case for case in load_vectors("mesh_ip")[section] if case["wg_pubkey"] not in ("", "ž", "test-pubkey")]
    return [(case, PublicKey.parse(case["wg_pubkey"])) for case in cases]


def test_default_addresses_equal_upstreams() -> None:
    cases = _with_real_keys("basic")
    assert len(cases) > 400
    for case, key in cases:
        mesh = _mesh(case["secret"])
        assert str(derive_ipv4(key, *mesh)) == case["mesh_ip"]
        assert str(derive_ipv6(key, *mesh)) == case["mesh_ipv6"]


def test_nonce_variants_equal_upstreams() -> None:
    for case, key in _with_real_keys("nonce"):
        secret, keys = _mesh(case["secret"])
        assert str(derive_ipv4_variant(key, secret, keys, None, case["nonce"])) == case["mesh_ip"]


def test_addresses_in_a_custom_subnet_equal_upstreams() -> None:
    for case, key in _with_real_keys("custom_subnet"):
        secret, keys = _mesh(case["secret"])
        if case["error"]:
            with pytest.raises(InvalidSetting):
                parse_mesh_subnet(case["subnet"])
            continue
        subnet = parse_mesh_subnet(case["subnet"])
        assert str(subnet) == case["subnet_normalised"]
        assert str(derive_ipv4(key, secret, keys, subnet)) == case["mesh_ip"]
        for variant in case["with_nonce"]:
            assert str(derive_ipv4(key, secret, keys, subnet, variant["nonce"])) == variant["mesh_ip"]


def test_subnet_options_are_accepted_and_refused_as_upstream_does() -> None:
    keys = derive(Secret("0123456789abcdef"))
    for case in load_vectors("mesh_ip")["config"]:
        if case["error"]:
            with pytest.raises(InvalidSetting):
                parse_mesh_subnet(case["mesh_subnet"])
            continue
        network = mesh_ipv4_network(keys, parse_mesh_subnet(case["mesh_subnet"]))
        assert network.prefixlen == case["prefix_len"]
        assert case.get("normalised", str(network)) == str(network)
        for text, inside in case["mesh_ip_in_subnet"].items():
            if text and text != "x":
                assert (ipaddress.ip_address(text) in network) is inside


def test_the_way_out_of_a_clash_equals_upstreams() -> None:
    for case in load_vectors("mesh_ip")["collision_check"]:
        taken = {ipaddress.IPv4Address(address) for address in case["existing_ip_owners"]}
        key, (secret, keys) = PublicKey.parse(case["wg_pubkey"]), _mesh(case["secret"])
        chosen = free_ipv4(key, secret, keys, parse_mesh_subnet(case["custom_subnet"]), taken)
        assert str(chosen) == case["mesh_ip"]


def test_the_winner_of_a_clash_and_the_losers_next_address_equal_upstreams() -> None:
    for case in load_vectors("mesh_ip")["resolve_collision"]:
        secret, keys = _mesh(case["secret"])
        one, other = PublicKey.parse(case["peer1"]), PublicKey.parse(case["peer2"])
        winner = min(one, other)  # keys are ordered by their text, as in `node/addresses.py`
        loser = other if winner == one else one
        assert (winner.text, loser.text) == (case["winner"], case["loser"])
        subnet = parse_mesh_subnet(case["custom_subnet"])
        assert str(derive_ipv4(loser, secret, keys, subnet, 1)) == case["loser_new_ip"]


def test_a_claimed_address_is_traced_to_its_nonce() -> None:
    secret, keys = _mesh("0123456789abcdef")
    key = PublicKey(bytes(range(32)))
    for nonce in range(NONCES_MAX + 1):
        address = derive_ipv4(key, secret, keys, nonce=nonce)
        assert claimed_nonce(address, key, secret, keys) == nonce
    assert claimed_nonce(derive_ipv4(PublicKey(bytes(32)), secret, keys), key, secret, keys) is None


def test_a_subnet_without_room_for_two_hosts_is_never_used() -> None:
    secret, keys = _mesh("0123456789abcdef")
    with pytest.raises(ValueError, match="no room"):
        derive_ipv4(PublicKey(bytes(32)), secret, keys, ipaddress.IPv4Network("192.168.1.0/31"))
