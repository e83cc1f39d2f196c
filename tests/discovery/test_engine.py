"""Cores joined by a fake wire, in the order of a node's life: meet, stay in touch, change, leave."""

from __future__ import annotations

from support.discovery_wire import KEYS, START, Wire
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.discovery.events import PeersChanged, PeerSighted


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
    assert one.events_of(PeersChanged) and one.events_of(PeerSighted) == [PeerSighted(two.key, "lan")]


def test_a_node_that_came_late_hears_of_the_first_one_within_the_jitter() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.advance(60.0)
    two = wire.add("192.168.1.2")
    wire.advance(0.021)
    assert list(two.peers()) == [one.key] and list(one.peers()) == [two.key]


def test_three_nodes_know_each_other() -> None:
    wire = Wire()
    nodes = [wire.add(f"192.168.1.{number}") for number in (1, 2, 3)]
    for node in nodes:
        assert set(node.peers()) == {other.key for other in nodes} - {node.key}
    assert wire.now == START and KEYS.gossip_port == nodes[0].address.port
