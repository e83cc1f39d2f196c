"""What the device may be at all, whatever code with the node's connection asks for."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.devices import LIMITS, desired_device, desired_peer, key, nets, psk
from wgmesh.core.model import DesiredDevice, DesiredPeer, IPInterface, IPNetwork, ObservedDevice, ObservedPeer
from wgmesh.core.settings import PRIVATE_NETWORKS
from wgmesh.wireguard.limits import (
    KEEPALIVE_S,
    NETWORKS_MAX,
    PEERS_MAX,
    RESERVED_PORTS_MAX,
    USUAL_KEEPALIVE_S,
    Limits,
    limit,
    oversize,
)

PRIVATE = replace(LIMITS, accept_routes=PRIVATE_NETWORKS)


def met(*numbers: int) -> ObservedDevice:
    """A device that has had a handshake with these."""
    peers = tuple(ObservedPeer(key(number), handshake_at=1.0) for number in numbers)
    return ObservedDevice("wg0", "fake", 51820, peers=peers)


def routed(network: str, limits: Limits, *reached: int) -> str:
    """Why a network is refused; empty where it is not."""
    limited = limit(desired_device(desired_peer(1, network)), met(*reached), limits)
    assert [each.routable_networks for each in limited.desired.peers] == [nets() if limited.refused else nets(network)]
    return limited.refused[0].reason if limited.refused else ""


def test_what_lies_within_the_limits_stays_as_it_is() -> None:
    wanted = desired_device(desired_peer(1, "172.20.0.0/16"), desired_peer(2), reserved=(1, 2, 3))
    assert limit(wanted, met(1), LIMITS) == type(limit(wanted, None, LIMITS))(wanted)


def test_a_network_goes_only_to_a_peer_with_whom_a_handshake_has_completed() -> None:
    assert routed("172.20.0.0/16", LIMITS) == routed("172.20.0.0/16", LIMITS, 2) == "Its tunnel is not proven yet."
    assert routed("172.20.0.0/16", LIMITS, 1) == ""
    unmet = ObservedDevice("wg0", "fake", 51820, peers=(ObservedPeer(key(1)),))
    assert limit(desired_device(desired_peer(1, "172.20.0.0/16")), unmet, LIMITS).refused


def test_a_network_lies_in_the_operators_list() -> None:
    assert "--accept-routes" in routed("129.0.0.0/16", PRIVATE, 1)
    assert "--accept-routes" in routed("172.0.0.0/8", PRIVATE, 1)
    assert routed("129.0.0.0/16", LIMITS, 1) == routed("172.16.0.0/12", PRIVATE, 1) == ""
    assert routed("10.0.0.0/8", PRIVATE, 1) == routed("100.64.0.0/10", PRIVATE, 1) == ""
    assert "--accept-routes" in routed("10.66.0.0/24", replace(LIMITS, accept_routes=()), 1)


@pytest.mark.parametrize("network", ["129.0.0.0/1", "64.0.0.0/2", "8.0.0.0/7", "fc00::/7", "fc00::/8", "2000::/12"])
def test_a_wide_network_counts_only_where_the_operator_has_named_it(network: str) -> None:
    wide = str(ipaddress.ip_network(network, strict=False))
    everything = LIMITS.accept_routes
    named = replace(LIMITS, accept_routes=(*everything, *nets(wide)))
    assert "name this very network" in routed(wide, LIMITS, 1)
    assert (routed(wide, named, 1) == "") is (wide != "fc00::/7")  # which is what the word `private` stands for


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("129.0.0.1/32", "no single address"),
        ("128.0.0.0/1", "no single address"),
        ("10.77.1.0/24", "no single address"),
        ("fd5a::/64", "no single address"),
        ("fd5b::1/128", "no single address"),
        ("10.77.0.1/32", "this node's own"),
        ("fd5a::1/128", "this node's own"),
    ],
)
def test_an_address_of_a_peer_is_one_address_of_the_mesh_and_not_ours(text: str, word: str) -> None:
    peer = replace(desired_peer(1), allowed_ips=nets("10.77.1.1/32", "fd5a::9/128", text))
    limited = limit(desired_device(peer), None, LIMITS)
    ((network, reason),) = ((str(each.network), each.reason) for each in limited.refused)
    assert network == text and word in reason
    assert limited.desired.peers[0].allowed_ips == nets("10.77.1.1/32", "fd5a::9/128")


def test_a_peer_has_one_address_of_each_family() -> None:
    peer = replace(desired_peer(1), allowed_ips=nets("10.77.1.1/32", "10.77.1.2/32", "fd5a::8/128", "fd5a::9/128"))
    limited = limit(desired_device(peer), None, LIMITS)
    assert limited.desired.peers[0].allowed_ips == nets("10.77.1.1/32", "fd5a::8/128")
    assert [str(each.network) for each in limited.refused] == ["10.77.1.2/32", "fd5a::9/128"]


@pytest.mark.parametrize("text", ["129.0.0.1/1", "10.77.0.1/32", "10.77.0.0/16", "10.77.0.2/16", "fd5a::1/128"])
def test_the_own_address_is_one_address_of_each_of_the_meshs_networks(text: str) -> None:
    wanted = desired_device()
    asked = replace(wanted, addresses=(*wanted.addresses, ipaddress.ip_interface(text)))
    limited = limit(asked, None, LIMITS)
    assert limited.desired.addresses == wanted.addresses
    assert len(limited.remarks) == 1 and text in limited.remarks[0]


@pytest.mark.parametrize("text", ["10.77.0.0/16", "fd5a::/64"])
def test_a_whole_network_is_no_address_of_this_node(text: str) -> None:
    assert (
        limit(replace(desired_device(), addresses=(ipaddress.ip_interface(text),)), None, LIMITS).desired.addresses
        == ()
    )


def test_port_and_mtu_are_the_operators() -> None:
    limited = limit(replace(desired_device(listen_port=53), mtu=9000), None, LIMITS)
    assert (limited.desired.listen_port, limited.desired.mtu) == (51820, 1420)
    assert [word for remark in limited.remarks for word in ("53", "9000") if word in remark] == ["53", "9000"]
    assert limit(desired_device(listen_port=0), None, LIMITS).desired.listen_port == 0


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0, 0), (1, USUAL_KEEPALIVE_S), (9, USUAL_KEEPALIVE_S), (10, 10), (22, 22), (600, 600), (601, USUAL_KEEPALIVE_S)],
)
def test_a_keepalive_is_no_stream_of_packets(asked: int, given: int) -> None:
    peer = replace(desired_peer(1), persistent_keepalive_s=asked)
    assert limit(desired_device(peer), None, LIMITS).desired.peers[0].persistent_keepalive_s == given


def test_peers_beyond_the_bound_are_named_and_left_out() -> None:
    crowd = tuple(replace(desired_peer(1), allowed_ips=nets()) for _ in range(PEERS_MAX + 2))
    limited = limit(desired_device(*crowd), None, LIMITS)
    assert len(limited.desired.peers) == PEERS_MAX and len(limited.failures) == 2
    assert len(limit(desired_device(reserved=tuple(range(1, 100))), None, LIMITS).desired.reserved_ports) <= 64


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_device_that_is_too_big_is_named_before_it_is_looked_at(at: int) -> None:
    bounds = [PEERS_MAX, NETWORKS_MAX, RESERVED_PORTS_MAX]
    assert oversize(*bounds) == ""
    bounds[at] += 1
    assert str(bounds[at]) in oversize(*bounds)


_NUMBERS = st.integers(0, 2**32 - 1)
_ANY_NETWORK: st.SearchStrategy[IPNetwork] = st.one_of(
    st.builds(lambda n, p: ipaddress.ip_network((n, p), strict=False), _NUMBERS, st.integers(0, 32)),
    st.builds(lambda n, p: ipaddress.ip_network((n << 96 | 1, p), strict=False), _NUMBERS, st.integers(0, 128)),
    st.sampled_from(sorted(nets("10.77.1.1/32", "10.77.0.1/32", "fd5a::2/128", "10.77.0.0/16", "fc00::/8"), key=str)),
)
_ANY_ADDRESS: st.SearchStrategy[IPInterface] = st.builds(
    lambda network, step: ipaddress.ip_interface((network.network_address, network.prefixlen)), _ANY_NETWORK, st.none()
) | st.sampled_from([ipaddress.ip_interface("10.77.0.9/16"), ipaddress.ip_interface("fd5a::9/64")])
_ANY_PEER = st.builds(
    DesiredPeer,
    st.integers(1, 5).map(key),
    st.just(psk(1)),
    st.frozensets(_ANY_NETWORK, max_size=4),
    st.frozensets(_ANY_NETWORK, max_size=4),
    st.none(),
    st.integers(-5, 70000),
)
_ANY_DEVICE = st.builds(
    DesiredDevice,
    st.lists(_ANY_ADDRESS, max_size=4).map(tuple),
    st.integers(-1, 70000),
    st.integers(-1, 70000),
    st.frozensets(st.integers(-1, 70000), max_size=70),
    st.lists(_ANY_PEER, max_size=5).map(tuple),
)


@pytest.mark.attack("a program in a process of a node", "set any address, network, port or MTU on the device")
@given(_ANY_DEVICE, st.frozensets(st.integers(1, 5)), st.sampled_from([LIMITS, PRIVATE]))
def test_whatever_is_desired_what_comes_out_lies_within_the_limits(
    desired: DesiredDevice, reached: frozenset[int], limits: Limits
) -> None:
    limited = limit(desired, met(*reached), limits)
    out, mesh = limited.desired, limits.mesh

    assert all(address.network in mesh for address in out.addresses)
    assert len({address.version for address in out.addresses}) == len(out.addresses)
    assert out.listen_port in (0, limits.listen_port) and out.mtu == limits.mtu
    assert len(out.reserved_ports) <= RESERVED_PORTS_MAX
    for peer in out.peers:
        for network in peer.allowed_ips:
            assert network.num_addresses == 1 and any(network.network_address in each for each in mesh)
            assert network.network_address not in {address.ip for address in out.addresses}
        assert len({network.version for network in peer.allowed_ips}) == len(peer.allowed_ips)
        for network in peer.routable_networks:
            assert peer.public_key in {key(number) for number in reached}
            assert network.prefixlen >= (8 if network.version == 4 else 16)
            assert any(network.network_address in each for each in limits.accept_routes)
        assert peer.persistent_keepalive_s == 0 or KEEPALIVE_S[0] <= peer.persistent_keepalive_s <= KEEPALIVE_S[1]
    asked = [(n, p.public_key) for p in desired.peers for n in (*p.allowed_ips, *p.routable_networks)]
    left = [(n, p.public_key) for p in out.peers for n in (*p.allowed_ips, *p.routable_networks)]
    assert len(asked) == len(left) + len(limited.refused)
    assert limit(out, met(*reached), limits).desired == out
