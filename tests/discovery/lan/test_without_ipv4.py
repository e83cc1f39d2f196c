"""Announcements by IPv6: between nodes that have nothing else, and beside IPv4."""

from __future__ import annotations

import ipaddress

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL6, Node, Wire, kind
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.discovery.host_interfaces import LanInterface

ALONE = "fd00::{}"


def only_ipv6(wire: Wire, number: int, *, ipv6: bool = True) -> Node:
    host = ALONE.format(number)
    return wire.add(host, number=number, interface=f"{host}/64", ipv6=ipv6)


def both(wire: Wire, number: int) -> Node:
    return wire.add(f"192.168.1.{number}", other_host=ALONE.format(number))


def announced(node: Node, channel: str = LAN_CHANNEL6) -> int:
    return len([each for each in node.sent if each.channel == channel])


def test_two_nodes_without_ipv4_know_each_other_without_waiting_for_a_timer() -> None:
    wire = Wire()
    one, two = only_ipv6(wire, 1), only_ipv6(wire, 2)
    for node, other in ((one, two), (two, one)):
        peer = node.peers()[other.key]
        assert peer.control_endpoint == other.address
        assert (peer.candidates[0].endpoint, peer.candidates[0].source) == (
            Endpoint.of(other.host, 51820),
            CandidateSource.LAN,
        )
    assert "lan" in one.peers()[two.key].discovery_methods


def test_several_nodes_of_one_prefix_without_ipv4_know_each_other() -> None:
    wire = Wire()
    nodes = [only_ipv6(wire, number) for number in range(1, 8)]
    wire.advance(2.0)
    for node in nodes:
        assert {key for key, peer in node.peers().items() if peer.control_endpoint} == {
            other.key for other in nodes if other is not node
        }


def test_one_without_ipv4_and_one_with_both_meet_whichever_comes_first() -> None:
    for first, second in ((only_ipv6, both), (both, only_ipv6)):
        wire = Wire()
        one = first(wire, 1)
        wire.advance(30.0)
        two = second(wire, 2)
        wire.advance(1.0)
        assert list(one.peers()) == [two.key] and list(two.peers()) == [one.key]
        wire.advance(60.0)
        for node, other in ((one, two), (two, one)):  # it is heard as often as any neighbour
            assert any(
                each.source is CandidateSource.LAN and each.endpoint.host.version == 6
                for each in node.peers()[other.key].candidates
            )


def test_neighbours_that_have_both_announce_themselves_by_ipv6_once_a_minute() -> None:
    wire = Wire()
    one, two = both(wire, 1), both(wire, 2)
    wire.advance(60.0)
    for node in (one, two):
        node.sent.clear()
    wire.advance(600.0)
    assert announced(one) <= 10 and announced(two) <= 10
    hellos = [each for node in (one, two) for each in node.sent if kind(each) == "HELLO"]
    assert not [each for each in hellos if each.to.host.version == 6]  # and nobody is asked twice for it


def test_a_lan_that_carries_no_ipv4_multicast_is_served_by_ipv6_as_well() -> None:
    wire = Wire()
    wire.drop = lambda sender, transmit: transmit.to.host == KEYS.multicast_group
    one, two = both(wire, 1), both(wire, 2)
    wire.advance(3.0)
    assert list(one.peers()) == [two.key] and list(two.peers()) == [one.key]
    one.sent.clear()
    wire.advance(60.0)
    assert announced(one) >= 10  # every 5 s: nothing else is heard of it


def test_with_ipv6_switched_off_nothing_is_said_or_heard_by_it() -> None:
    wire = Wire()
    one, two = only_ipv6(wire, 1, ipv6=False), only_ipv6(wire, 2)
    wire.advance(10.0)
    assert not one.sent and not one.peers() and not two.peers()


def test_a_peer_that_loses_its_ipv4_address_is_known_by_its_other_one_at_once() -> None:
    wire = Wire()
    one, two = both(wire, 1), both(wire, 2)
    wire.advance(30.0)
    two.host, two.other_host = two.other_host, ""
    lost = LanInterface("eth0", 2, (ipaddress.ip_interface(f"{two.host}/64"),))
    two.core.set_interfaces([lost], wire.now)
    wire.advance(2.0)
    peer = one.peers()[two.key]
    assert peer.control_endpoint == two.address
    assert Endpoint.of(two.host, 51820) in [each.endpoint for each in peer.candidates]


@pytest.mark.parametrize("host", ["2001:db8::66", "192.168.1.66"])
def test_what_comes_by_ipv6_multicast_from_beyond_the_link_is_refused(host: str) -> None:
    wire = Wire()
    one, two = only_ipv6(wire, 1), only_ipv6(wire, 2)
    data = next(each.data for each in two.sent if each.channel == LAN_CHANNEL6)
    three = only_ipv6(wire, 3)
    wire.inject(three, data, str(Endpoint.of(host, KEYS.lan_port)), LAN_CHANNEL6)
    assert one.key != two.key and "off-link" in three.rejections()
