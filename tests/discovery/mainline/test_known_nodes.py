"""What the Mainline DHT's session is told, and the file of known nodes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.discovery.mainline.known_nodes import (
    LISTEN_ADDRESSES_MAX,
    ROUTING_NODES_MAX,
    RoutingNode,
    decode_routing_nodes,
    encode_routing_nodes,
    is_private_swarm,
    listening_addresses,
)

RECORD_BYTES = 38

# Protocol notes, section 21: computed by upstream's Go code.
UPSTREAM_RECORD = bytes.fromhex("000102030405060708090a0b0c0d0e0f1011121300000000000000000000ffffcb0071091ae1")
UPSTREAM_NODE = RoutingNode(bytes(range(20)), Endpoint.of("203.0.113.9", 6881))

hosts = (st.ip_addresses(v=4) | st.ip_addresses(v=6)).filter(
    lambda host: (
        not host.is_unspecified
        and not host.is_multicast
        and not (isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None)
    )
)
nodes = st.builds(
    RoutingNode,
    st.binary(min_size=20, max_size=20),
    st.builds(Endpoint, hosts, st.integers(min_value=1, max_value=65535)),
)


def test_a_record_is_what_upstream_writes() -> None:
    assert encode_routing_nodes([UPSTREAM_NODE]) == UPSTREAM_RECORD
    assert decode_routing_nodes(UPSTREAM_RECORD) == (UPSTREAM_NODE,)


@given(st.lists(nodes, max_size=20, unique=True))
def test_what_was_saved_is_read_again(saved: list[RoutingNode]) -> None:
    assert decode_routing_nodes(encode_routing_nodes(saved)) == tuple(saved)


@given(st.lists(nodes, max_size=5, unique=True), st.binary(min_size=1, max_size=RECORD_BYTES - 1))
def test_a_partial_record_at_the_end_is_dropped_alone(saved: list[RoutingNode], rest: bytes) -> None:
    assert decode_routing_nodes(encode_routing_nodes(saved) + rest) == tuple(saved)


@given(st.binary(max_size=10 * RECORD_BYTES))
def test_no_bytes_are_an_error_and_what_was_read_is_stable(data: bytes) -> None:
    once = decode_routing_nodes(data)
    assert decode_routing_nodes(encode_routing_nodes(once)) == once


def test_a_file_of_any_length_gives_a_bounded_number_of_nodes() -> None:
    many = [RoutingNode(number.to_bytes(20, "big"), UPSTREAM_NODE.endpoint) for number in range(ROUTING_NODES_MAX + 7)]
    assert len(encode_routing_nodes(many)) == ROUTING_NODES_MAX * RECORD_BYTES
    everything = b"".join(encode_routing_nodes([node]) for node in many)
    assert decode_routing_nodes(everything) == tuple(many[:ROUTING_NODES_MAX])


@pytest.mark.parametrize("host", ["::", "::ffff:0.0.0.0", "ff02::1", "::ffff:239.1.2.3"])
def test_a_record_that_is_nobodys_address_is_dropped_alone(host: str) -> None:
    bad = bytes(20) + ipaddress.IPv6Address(host).packed + b"\x1a\xe1"
    assert decode_routing_nodes(bad + UPSTREAM_RECORD) == (UPSTREAM_NODE,)


def test_a_record_without_a_port_is_dropped_alone() -> None:
    assert decode_routing_nodes(UPSTREAM_RECORD[:-2] + bytes(2) + UPSTREAM_RECORD) == (UPSTREAM_NODE,)


def test_a_node_id_has_its_length() -> None:
    with pytest.raises(ValueError, match="20 bytes"):
        RoutingNode(bytes(19), UPSTREAM_NODE.endpoint)


@pytest.mark.parametrize(
    ("bootstrap", "private"),
    [
        (["192.168.77.11:6881", "10.0.0.1:1"], True),
        (["127.0.0.1:6881", "[::1]:6881", "[fd77::1]:6881"], True),
        (["203.0.113.9:6881", "[2001:db8::1]:6881"], True),
        (["44.128.1.1:6881"], False),
        (["192.168.77.11:6881", "67.215.246.10:6881"], False),
        ([], False),
    ],
)
def test_a_swarm_is_private_when_all_its_entrances_are(bootstrap: list[str], private: bool) -> None:
    assert is_private_swarm(map(Endpoint.parse, bootstrap)) is private


def test_sockets_are_opened_on_addresses_that_lead_somewhere() -> None:
    given_addresses = ["127.0.0.1", "192.168.1.2", "fe80::1", "2001:db8::1", "192.168.1.2", "0.0.0.0", "224.0.0.1"]
    chosen = listening_addresses(map(ipaddress.ip_address, given_addresses))
    assert [str(address) for address in chosen] == ["192.168.1.2", "2001:db8::1"]


def test_loopback_is_used_where_there_is_nothing_else() -> None:
    loopback = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
    assert listening_addresses(loopback) == tuple(loopback)


def test_a_host_of_many_addresses_opens_a_bounded_number_of_sockets() -> None:
    many = [ipaddress.ip_address("10.0.0.1") + number for number in range(100)]
    assert listening_addresses(many) == tuple(many[:LISTEN_ADDRESSES_MAX])
