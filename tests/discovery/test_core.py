"""Cores joined by a fake wire: they meet, sleep, and tell what changes."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from support.discovery.discovery_wire import LAN_CHANNEL, START, Wire, kind, prove
from wgmesh.core.model import CandidateSource, Endpoint, PeerProof
from wgmesh.discovery.events import PeersChanged, PeerSighted
from wgmesh.discovery.host_interfaces import Beyond, LanInterface


def test_two_nodes_on_a_lan_know_each_other_without_waiting_for_a_timer() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    assert list(one.peers()) == [two.key]
    peer = one.peers()[two.key]
    assert peer.mesh_ipv4 == two.description.mesh_ipv4
    assert peer.mesh_ipv6 == two.description.mesh_ipv6
    assert peer.hostname == "node-2"
    assert peer.native
    assert peer.candidates[0].endpoint == Endpoint.of("192.168.1.2", 51820)
    assert peer.candidates[0].source is CandidateSource.LAN
    assert peer.control_endpoint == two.address
    assert list(two.peers()) == [one.key]
    assert one.events_of(PeersChanged)
    assert one.events_of(PeerSighted) == [PeerSighted(two.key, "lan")]
    assert wire.now == START


def test_a_node_that_comes_late_announces_only_once_until_somebody_hears_it() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.advance(60.0)
    two = wire.add("192.168.1.2")
    assert list(two.peers()) == [one.key] and list(one.peers()) == [two.key]
    one.sent.clear()
    wire.advance(0.021)
    assert [each.channel for each in one.sent] == [LAN_CHANNEL]  # brought forward for the newcomer


def test_a_lost_first_announcement_costs_a_quarter_of_a_second() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.advance(2.0)
    wire.drop = lambda sender, transmit: True
    two = wire.add("192.168.1.2")
    wire.drop = lambda sender, transmit: False
    assert one.peers() == {}
    wire.advance(0.25)
    assert list(one.peers()) == [two.key] and list(two.peers()) == [one.key]


def test_twenty_nodes_know_each_other_at_once() -> None:
    wire = Wire()
    nodes = [wire.add(f"192.168.1.{number}") for number in range(1, 21)]
    for node in nodes:
        assert set(node.peers()) == {other.key for other in nodes} - {node.key}
    wire.advance(1.0)
    assert not [reason for node in nodes for reason in node.rejections() if reason == "rate-limited"]


def test_nothing_is_said_or_heard_before_the_node_knows_who_it_is() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1", set_self=False)
    two = wire.add("192.168.1.2")
    assert one.sent == [] and one.peers() == {} and one.core.poll_timeout() is None
    one.core.set_self(one.description, (), wire.now)
    wire.settle()
    assert list(one.peers()) == [two.key]


def test_without_lan_discovery_a_static_peer_is_enough_to_meet_everybody() -> None:
    wire = Wire()
    hub = wire.add("192.0.2.1", lan=False)
    others = [wire.add(f"198.51.100.{number}", number=number, lan=False) for number in range(2, 12)]
    for node in others:
        node.core.set_static([hub.address], wire.now)
        wire.settle()
    wire.advance(120.0)
    for node in others:
        assert set(node.peers()) == {other.key for other in [hub, *others]} - {node.key}
        assert all(peer.control_endpoint is not None for peer in node.peers().values())
    assert "static" in others[0].peers()[hub.key].discovery_methods
    static = [
        each for each in others[0].peers()[hub.key].candidates if each.endpoint == Endpoint.of("192.0.2.1", 51820)
    ]
    assert static[0].source is CandidateSource.OBSERVED


def test_a_static_peer_that_is_down_is_tried_without_end() -> None:
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    one.core.set_static([Endpoint.parse("198.51.100.2:52527")], wire.now)
    wire.advance(6 * 3600.0)
    two = wire.add("198.51.100.2", number=2, lan=False)
    wire.advance(80.0)
    assert list(one.peers()) == [two.key]


def test_an_idle_node_sleeps_for_seconds() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.add("192.168.1.2")
    wire.advance(30.0)
    one.sent.clear()
    wake_ups = 0
    end = wire.now + 300.0
    while wire.now < end:
        timeout = one.core.poll_timeout()
        assert timeout is not None
        wire.advance(max(timeout - wire.now, 0.0))
        wake_ups += 1
    assert wake_ups < 300.0 / 2.0
    assert len(one.sent) < 300.0 / 5.0 + 2 * 300.0 / 40.0 + 2


@pytest.mark.parametrize("is_proven", [False, True], ids=["no tunnel", "idle tunnels"])
def test_a_changed_address_is_told_to_all_peers_within_seconds(is_proven: bool) -> None:
    wire = Wire()
    mover = wire.add("192.0.2.1", lan=False)
    others = [wire.add(f"198.51.100.{number}", number=number, lan=False) for number in range(2, 7)]
    mover.core.set_static([node.address for node in others], wire.now)
    wire.settle()
    wire.advance(60.0)
    for node in others if is_proven else ():
        prove(wire, node, mover)
        prove(wire, mover, node)
    wire.advance(60.0)

    wire.remove(mover)
    mover.host = "203.0.113.1"
    wire.nodes[mover.host] = mover
    mover.core.set_interfaces([LanInterface("eth0", 2, (ipaddress.ip_interface("203.0.113.1/24"),))], wire.now)
    wire.settle()
    wire.advance(5.0)

    for node in others:
        assert Endpoint.of("203.0.113.1", 51820) in [each.endpoint for each in node.peers()[mover.key].candidates]


def test_news_is_published_at_once_and_mere_age_seldom() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    two = wire.add("192.168.1.2")
    wire.advance(30.0)
    one.events.clear()
    wire.advance(60.0)
    assert 3 <= len(one.events_of(PeersChanged)) <= 8
    one.events.clear()
    two.core.set_self(replace(two.description, hostname="renamed"), (), wire.now)
    wire.settle()
    assert one.events_of(PeersChanged) and one.peers()[two.key].hostname == "renamed"


def test_withdrawn_routes_are_gone_everywhere_at_once() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    network = ipaddress.ip_network("192.168.77.0/24")
    wire.advance(10.0)
    for networks in ((network,), ()):
        two.core.set_self(replace(two.description, routable_networks=networks), (), wire.now)
        wire.settle()
        assert one.peers()[two.key].routable_networks == networks


def test_a_peer_that_moves_off_the_lan_is_reached_at_its_new_address() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(10.0)
    wire.remove(two)
    two.host = "198.51.100.2"
    wire.nodes[two.host] = two
    wire.drop = lambda sender, transmit: bool(transmit.channel)
    address = ipaddress.ip_interface("198.51.100.2/24")
    two.core.set_interfaces([LanInterface("eth0", 2, (address,))], wire.now)
    wire.advance(21.0)
    best = one.peers()[two.key].candidates[0]
    assert str(best.endpoint) == "198.51.100.2:51820"
    assert one.peers()[two.key].control_endpoint == two.address


def test_no_address_behind_a_tunnel_of_others_stands_for_a_peer_whenever_it_was_heard_or_proven() -> None:
    wire = Wire()
    one, two = wire.add("10.78.0.1"), wire.add("10.78.0.2")
    wire.advance(10.0)
    inside = Endpoint.parse("10.78.0.2:51820")
    assert [each.endpoint for each in one.peers()[two.key].candidates] == [inside]
    eth0 = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.1/24"),))
    tunnel = Beyond(((ipaddress.ip_network("10.78.0.0/16"), False),))
    one.core.set_interfaces([eth0], wire.now, tunnel)
    wire.settle()
    assert one.peers()[two.key].candidates == ()
    one.core.set_self(one.description, [PeerProof(two.key, inside, wire.now)], wire.now)
    wire.advance(20.0)
    assert one.peers()[two.key].candidates == ()
    one.core.set_interfaces([eth0], wire.now)
    wire.advance(60.0)
    assert [each.endpoint for each in one.peers()[two.key].candidates] == [inside]


def test_a_peer_that_gets_another_address_on_the_lan_is_asked_there_at_once() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(10.0)
    wire.remove(two)
    two.host = "192.168.1.77"
    wire.nodes[two.host] = two
    two.core.set_interfaces([LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.77/24"),))], wire.now)
    wire.settle()
    assert one.peers()[two.key].control_endpoint == two.address
    one.sent.clear()
    wire.advance(20.0)
    assert len([each for each in one.sent if kind(each) == "HELLO"]) <= 1


def test_interfaces_that_did_not_change_are_no_news() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.add("192.168.1.2")
    wire.advance(7.0)
    one.sent.clear()
    one.core.set_interfaces([LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.1/24"),))], wire.now)
    wire.advance(1.0)
    assert one.sent == []
