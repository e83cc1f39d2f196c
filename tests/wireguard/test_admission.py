"""What a member of the mesh may not do to this host by advertising a network."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from support.devices import desired_device, desired_devices, desired_peer, key, nets
from wgmesh.core.model import DesiredDevice, DesiredPeer, Endpoint, ObservedDevice, ObservedPeer
from wgmesh.wireguard.admission import ROUTES_PER_PEER_MAX, ForeignRoute, ForeignRoutes, admit

LAN = ForeignRoute(ipaddress.ip_network("192.168.1.0/24"), "eth0", connected=True)
VPN = ForeignRoute(ipaddress.ip_network("10.8.0.0/16"), "tun7")
GATEWAY = ForeignRoute(ipaddress.ip_network("0.0.0.0/0"), "eth0")
FOREIGN = ForeignRoutes((LAN, VPN, GATEWAY))


def routes_of(device: DesiredDevice, number: int) -> set[str]:
    return {str(n) for peer in device.peers if peer.public_key == key(number) for n in peer.routable_networks}


@pytest.mark.parametrize(
    ("network", "named"),
    [
        ("0.0.0.0/0", "default route"),
        ("::/0", "default route"),
        ("128.0.0.0/1", "default route"),
        ("2000::/3", "default route"),
        ("127.0.0.0/8", "loopback"),
        ("127.0.0.53/32", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("fe80::/64", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("ff02::/16", "multicast"),
        ("255.255.255.255/32", "reserved"),
        ("10.77.0.0/16", "10.77.0.0/16"),
        ("10.77.3.0/24", "10.77.0.0/16"),
        ("10.0.0.0/8", "10.77.0.0/16"),
        ("fd5a::/64", "fd5a::/64"),
        ("192.168.1.0/24", "eth0"),
        ("192.168.1.64/26", "eth0"),
        ("192.168.0.0/16", "eth0"),
        ("10.8.3.0/24", "tun7"),
    ],
)
def test_a_dangerous_network_is_neither_routed_nor_allowed(network: str, named: str) -> None:
    admitted = admit(desired_device(desired_peer(1, network, "172.20.0.0/16")), None, FOREIGN)
    assert [(str(r.network), r.public_key) for r in admitted.refused] == [(network, key(1))]
    assert named in admitted.refused[0].reason
    (peer,) = admitted.target.peers
    assert peer.routable_networks == nets("172.20.0.0/16")
    assert peer.allowed_ips == nets("10.77.1.1/32", "172.20.0.0/16")


def test_a_foreign_default_route_blocks_nothing() -> None:
    admitted = admit(desired_device(desired_peer(1, "203.0.113.0/24", "fd99::/64")), None, ForeignRoutes((GATEWAY,)))
    assert admitted.refused == ()


def test_a_network_advertised_twice_goes_to_the_lower_key_in_any_order() -> None:
    one, two = desired_peer(1, "172.20.0.0/16"), desired_peer(2, "172.20.0.0/16")
    for peers in ((one, two), (two, one)):
        admitted = admit(desired_device(*peers), None, ForeignRoutes())
        assert routes_of(admitted.target, 1) == {"172.20.0.0/16"}
        assert routes_of(admitted.target, 2) == set()
        assert [r.public_key for r in admitted.refused] == [key(2)]
        assert key(1).short in admitted.refused[0].reason


def test_a_more_specific_network_of_another_site_is_admitted() -> None:
    admitted = admit(desired_device(desired_peer(1, "172.20.0.0/16"), desired_peer(2, "172.20.5.0/24")), None, FOREIGN)
    assert admitted.refused == ()
    assert routes_of(admitted.target, 2) == {"172.20.5.0/24"}


def test_an_allowed_ip_of_two_peers_belongs_to_the_lower_key() -> None:
    thief = replace(desired_peer(2), allowed_ips=nets("10.77.1.1/32"))
    admitted = admit(desired_device(thief, desired_peer(1)), None, FOREIGN)
    assert [peer.allowed_ips for peer in admitted.target.peers] == [nets("10.77.1.1/32"), frozenset()]
    assert key(1).short in admitted.refused[0].reason


def test_a_route_over_another_peers_own_address_is_refused() -> None:
    outside = replace(desired_peer(1), allowed_ips=nets("172.30.0.1/32"))
    admitted = admit(desired_device(outside, desired_peer(2, "172.30.0.0/24")), None, FOREIGN)
    assert routes_of(admitted.target, 2) == set()
    assert key(1).short in admitted.refused[0].reason


@pytest.mark.parametrize(("endpoint", "refused"), [("172.20.0.7:51820", True), ("172.21.0.0:51820", False)])
def test_a_network_that_holds_a_proven_endpoint_is_refused(endpoint: str, refused: bool) -> None:
    peers = (
        ObservedPeer(key(3), Endpoint.parse(endpoint), handshake_at=1.0),
        ObservedPeer(key(4), Endpoint.parse("172.20.0.9:51820")),  # never proven
        ObservedPeer(key(5), Endpoint.parse("[2001:db8::1]:51820"), handshake_at=1.0),
    )
    observed = ObservedDevice("wg0", "fake", 51820, peers=peers)
    admitted = admit(desired_device(desired_peer(1, "172.20.0.0/16")), observed, ForeignRoutes())
    assert bool(admitted.refused) is refused
    if refused:
        assert key(3).short in admitted.refused[0].reason


def test_a_peer_cannot_fill_the_routing_table() -> None:
    many = [f"172.16.{n // 256}.{n % 256}/32" for n in range(ROUTES_PER_PEER_MAX + 3)]
    admitted = admit(desired_device(desired_peer(1, *many)), None, ForeignRoutes())
    assert len(admitted.target.peers[0].routable_networks) == ROUTES_PER_PEER_MAX
    assert len(admitted.refused) == 3


def test_a_peer_that_is_listed_twice_counts_once() -> None:
    first = replace(desired_peer(1), persistent_keepalive_s=7)
    admitted = admit(desired_device(first, desired_peer(1)), None, FOREIGN)
    assert [peer.persistent_keepalive_s for peer in admitted.target.peers] == [7]


@given(desired_devices)
def test_after_admission_no_network_has_two_owners(desired: DesiredDevice) -> None:
    target = admit(desired, None, FOREIGN).target
    owned = [network for peer in target.peers for network in peer.allowed_ips]
    assert len(owned) == len(set(owned))
    assert all(peer.routable_networks <= peer.allowed_ips for peer in target.peers)


@given(desired_devices)
def test_admission_is_stable(desired: DesiredDevice) -> None:
    target = admit(desired, None, FOREIGN).target

    def own(peer: DesiredPeer) -> DesiredPeer:
        return replace(peer, allowed_ips=peer.allowed_ips - peer.routable_networks)

    again = replace(target, peers=tuple(map(own, target.peers)))
    assert admit(again, None, FOREIGN).target.peers == target.peers
