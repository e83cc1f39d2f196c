"""What is learned from what arrives."""

from __future__ import annotations

import ipaddress

from support.discovery_wire import Wire, kind, payload
from support.go_peer import GoPeer
from wgmesh.core.advertised import AdvertisedEndpoint
from wgmesh.core.model import Endpoint, PeerProof


def test_what_a_go_neighbour_says_is_learned_and_answered() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9", {"routable_networks": ["192.168.77.0/24"], "nat_type": "cone", "introducer": True})
    one = wire.add("192.168.1.1")
    one.sent.clear()
    wire.inject(one, go.hello(wire.now), go.source)
    peer = one.peers()[go.key]
    assert peer.routable_networks == (ipaddress.ip_network("192.168.77.0/24"),)
    assert (peer.nat_type, peer.introducer, peer.native) == ("cone", True, False)
    assert [kind(each) for each in one.sent] == ["REPLY", "HELLO"]  # an answer, and a question of our own
    assert payload(wire, one.sent[0]).observed_endpoint == Endpoint.parse(go.source)
    assert payload(wire, one.sent[0]).endpoint == AdvertisedEndpoint(ipaddress.ip_address("192.168.1.1"), 51820)


def test_a_hello_alone_does_not_make_its_source_a_candidate() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9", {"wg_endpoint": "0.0.0.0:51820"})
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), "198.51.100.77:52527")
    assert one.peers()[go.key].candidates == () and one.peers()[go.key].control_endpoint is None
    wire.inject(one, go.reply(wire.now, "192.168.1.1:52527"), "198.51.100.77:52527")
    peer = one.peers()[go.key]
    assert [str(each.endpoint) for each in peer.candidates] == ["198.51.100.77:51820"]
    assert str(peer.control_endpoint) == "198.51.100.77:52527"


def test_no_ipv6_means_no_ipv6_candidates() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9", {"wg_endpoint": "[2001:db8::9]:51820"})
    one, other = wire.add("192.168.1.1", ipv6=False), wire.add("192.168.1.2")
    for node in (one, other):
        wire.inject(node, go.hello(wire.now), go.source)
    assert one.peers()[go.key].candidates == ()
    assert str(other.peers()[go.key].candidates[0].endpoint) == "[2001:db8::9]:51820"


def test_upstreams_gossip_goes_to_upstreams_peers_and_tells_of_all_in_turn() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1", gossip=True)
    others = [wire.add(f"192.168.1.{number}") for number in range(2, 8)]
    go = GoPeer(9, "198.51.100.9")
    wire.inject(one, go.hello(wire.now), go.source)
    told = set()
    for _ in range(12):
        one.core.set_self(one.description, [PeerProof(go.key, Endpoint.parse("198.51.100.9:1"), wire.now)], wire.now)
        one.sent.clear()
        wire.advance(10.0)
        gossip = [each for each in one.sent if kind(each) == "ANNOUNCE" and not each.channel]
        assert {str(each.to) for each in gossip} <= {go.tunnel_source}
        told |= {known.public_key for each in gossip for known in payload(wire, each).known_peers}
    assert told >= {other.key for other in others}


def test_without_gossip_a_go_nodes_gossip_is_ignored_and_ours_is_not_sent() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.announce(wire.now), go.tunnel_source)
    assert one.peers() == {} and one.rejections() == ["unexpected"]
