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
        ("0.1.0.0/16", "unspecified"),
        ("::1/128", "loopback"),
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
        ("192.168.1.0/24", "is connected to eth0"),
        ("192.168.1.64/26", "eth0"),
        ("192.168.0.0/16", "eth0"),
        ("10.8.3.0/24", "is routed through tun7"),
    ],
)
def test_a_dangerous_network_is_neither_routed_nor_allowed(network: str, named: str) -> None:
    admitted = admit(desired_device(desired_peer(1, network, "172.20.0.0/16")), None, FOREIGN)
    assert [(str(r.network), r.public_key) for r in admitted.refused] == [(network, key(1))]
    assert named in admitted.refused[0].reason
    (peer,) = admitted.target.peers
    assert peer.routable_networks == nets("172.20.0.0/16")
    assert peer.allowed_ips == nets("10.77.1.1/32", "172.20.0.0/16")


@pytest.mark.parametrize(
    ("network", "word"),
    [
        ("172.20.0.0/16", "172.20.0.53, a name server"),
        ("172.20.0.53/32", "172.20.0.53, a name server"),
        ("172.21.0.0/16", "172.21.0.1, a gateway"),
        ("fd99::/64", "fd99::53, a name server"),
    ],
)
def test_what_holds_a_resolver_or_a_gateway_of_this_host_is_not_routed(network: str, word: str) -> None:
    resolvers = frozenset(map(ipaddress.ip_address, ("172.20.0.53", "fd99::53")))
    host = ForeignRoutes(FOREIGN.routes, frozenset({ipaddress.ip_address("172.21.0.1")}), resolvers)
    admitted = admit(desired_device(desired_peer(1, network, "172.22.0.0/16")), None, host)
    assert [str(each.network) for each in admitted.refused] == [network]
    assert word in admitted.refused[0].reason
    assert routes_of(admitted.target, 1) == {"172.22.0.0/16"}


def test_a_network_with_a_resolver_is_routed_where_the_operator_has_named_it_and_one_with_a_gateway_never() -> None:
    addresses = frozenset({ipaddress.ip_address("172.20.0.53")})
    wanted = desired_device(desired_peer(1, "172.20.0.0/16"))
    for host, refusals in ((ForeignRoutes(resolvers=addresses), 0), (ForeignRoutes(gateways=addresses), 1)):
        assert len(admit(wanted, None, host, nets("172.20.0.0/16")).refused) == refusals
        assert len(admit(wanted, None, host, nets("172.16.0.0/12")).refused) == 1


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


def test_addresses_that_belong_to_another_peer_are_refused_in_order() -> None:
    stolen = [f"10.77.1.{number}/32" for number in range(1, 21)]
    owner, thief = (replace(desired_peer(number), allowed_ips=nets(*stolen)) for number in (1, 2))
    assert [str(each.network) for each in admit(desired_device(thief, owner), None, FOREIGN).refused] == stolen


def test_a_route_over_another_peers_own_address_is_refused() -> None:
    outside = replace(desired_peer(1), allowed_ips=nets("172.30.0.1/32"))
    admitted = admit(desired_device(outside, desired_peer(2, "172.30.0.0/24")), None, FOREIGN)
    assert routes_of(admitted.target, 2) == set()
    assert key(1).short in admitted.refused[0].reason


def test_a_route_over_ones_own_address_or_beside_that_of_another_is_admitted() -> None:
    peers = (
        replace(desired_peer(number, f"172.{number}.0.0/24"), allowed_ips=nets(f"172.{number}.0.1/32"))
        for number in (30, 31)
    )
    admitted = admit(desired_device(*peers), None, FOREIGN)
    assert admitted.refused == ()
    assert (routes_of(admitted.target, 30), routes_of(admitted.target, 31)) == ({"172.30.0.0/24"}, {"172.31.0.0/24"})


@pytest.mark.parametrize(
    ("endpoint", "refused"),
    [
        ("172.20.0.7:51820", True),
        ("172.20.0.0:51820", True),
        ("172.20.255.255:51820", True),
        ("172.19.255.255:51820", False),
        ("172.21.0.0:51820", False),
        ("[::ac14:7]:51820", False),  # the number of 172.20.0.7, but of the other family
    ],
)
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
        assert endpoint.rpartition(":")[0] in admitted.refused[0].reason


def test_of_many_proven_endpoints_in_any_order_none_is_routed_through_the_tunnel_itself() -> None:
    hosts = ["203.0.113.9", "172.20.0.7", "198.51.100.3", "[2001:db8::1]", "192.0.2.1"]
    peers = [
        ObservedPeer(key(number), Endpoint.parse(f"{host}:51820"), handshake_at=1.0)
        for number, host in enumerate(hosts, start=3)
    ]
    for around in ("172.20.0.0/16", "192.0.2.0/24", "203.0.113.0/24", "2001:db8::/32"):
        for order in (peers, peers[::-1]):
            observed = ObservedDevice("wg0", "fake", 51820, peers=tuple(order))
            admitted = admit(desired_device(desired_peer(1, around)), observed, ForeignRoutes())
            (refused,) = admitted.refused
            (inside,) = (host for host in hosts if ipaddress.ip_address(host.strip("[]")) in refused.network)
            assert routes_of(admitted.target, 1) == set()
            assert inside.strip("[]") in refused.reason


def test_a_peer_cannot_fill_the_routing_table() -> None:
    many = [f"172.16.{n // 256}.{n % 256}/32" for n in range(ROUTES_PER_PEER_MAX + 3)]
    admitted = admit(desired_device(desired_peer(1, *many, "ff02::/16")), None, ForeignRoutes())
    assert admitted.target.peers[0].routable_networks == nets(*many[:ROUTES_PER_PEER_MAX])
    assert [str(each.network) for each in admitted.refused] == [*many[ROUTES_PER_PEER_MAX:], "ff02::/16"]
    assert "at most 256" in admitted.refused[0].reason
    assert "multicast" in admitted.refused[-1].reason  # what is dangerous is called so


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
