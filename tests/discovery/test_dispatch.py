"""What is learned from what arrives."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Wire, kind, payload, prove
from support.discovery.go_peer import GoPeer, meet
from support.discovery.pairing import prove_payload
from wgmesh.core.model import Endpoint, PeerProof
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Extension, KnownPeer
from wgmesh.core.wire.envelope import MessageType, seal
from wgmesh.core.wire.gossip_message import Gossip, encode_gossip
from wgmesh.core.wire.rendezvous import Offer, Start, encode_offer, encode_start, pair_id


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


def test_a_hello_that_is_resent_is_answered_each_time_and_a_reply_or_goodbye_is_taken_once() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    hello, reply, goodbye = go.hello(wire.now), go.reply(wire.now, "192.168.1.1:52527"), go.goodbye(wire.now + 1)
    one.sent.clear()
    for data in (hello, hello, reply, reply, goodbye, goodbye):
        wire.inject(one, data, go.source)
    assert [kind(each) for each in one.sent].count("REPLY") == 2
    assert one.rejections() == ["replayed", "replayed"]


def test_a_hello_that_was_overtaken_is_answered_and_changes_nothing() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    late = go.hello(wire.now - 1, hostname="old")
    wire.inject(one, go.hello(wire.now), go.source)
    one.sent.clear()
    wire.inject(one, late, go.source)
    assert [kind(each) for each in one.sent] == ["REPLY"] and one.rejections() == []
    assert one.peers()[go.key].hostname == "go-9"


def test_a_peer_whose_clock_was_set_back_is_believed_where_it_answers_us() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    wire.inject(one, go.reply(wire.now - 300, "192.168.1.1:52527", hostname="set-back"), go.source)
    assert one.rejections() == [] and one.peers()[go.key].hostname == "set-back"


def test_an_announcement_is_taken_on_the_lan_and_through_the_tunnel_unless_it_was_overtaken() -> None:
    wire = Wire()
    go, other = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1", gossip=True)
    wire.inject(one, go.announce(wire.now), go.source, LAN_CHANNEL)
    meet(wire, one, other)
    proof = PeerProof(other.key, Endpoint.parse(f"{other.host}:51820"), wire.now)
    one.core.set_self(one.description, [proof], wire.now)
    wire.inject(one, other.announce(wire.now), other.tunnel_source)
    methods = {key: peer.discovery_methods for key, peer in one.peers().items()}
    assert methods == {go.key: ("lan",), other.key: ("exchange", "gossip")}
    wire.inject(one, go.announce(wire.now - 1), go.source, LAN_CHANNEL)
    wire.inject(one, other.announce(wire.now - 1), other.tunnel_source)
    assert one.rejections() == ["stale", "stale"]


@pytest.mark.parametrize("channel", ["", LAN_CHANNEL])
def test_a_goodbye_is_taken_on_the_lan_and_where_it_is_sent_to_us_unless_it_was_overtaken(channel: str) -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    wire.inject(one, go.goodbye(wire.now - 1), go.source, channel)
    assert one.rejections() == ["stale"] and go.key in one.peers()
    wire.inject(one, go.goodbye(wire.now), go.source, channel)
    assert go.key not in one.peers()


@pytest.mark.parametrize("offset_s", [-300.0, 300.0])
def test_a_node_whose_clock_is_wrong_by_minutes_leaves_with_its_goodbye_all_the_same(offset_s: float) -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", skew_s=offset_s)
    wire.advance(3.0)
    prove(wire, one, two)
    two.core.goodbye(wire.now + offset_s)
    wire.settle()
    assert one.peers() == {} and one.rejections() == []
    wire.add("192.168.1.2", skew_s=offset_s, life=1)
    assert list(one.peers()) == [two.key]  # nor does its clock keep it away


@pytest.mark.parametrize("offset_s", [-61.0, 62.0])
def test_a_go_nodes_goodbye_from_a_clock_that_is_more_than_a_minute_off_is_not_believed(offset_s: float) -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now - 120), go.source)
    wire.inject(one, go.goodbye(wire.now + offset_s), go.source)
    assert one.rejections() == ["stale"]
    wire.advance(5.0)
    assert go.key in one.peers()


def test_our_own_gossip_is_taken_through_the_tunnel_unless_it_was_overtaken() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    inside = str(Endpoint(two.description.mesh_ipv4, KEYS.gossip_port))
    told = GoPeer(8, "198.51.100.8")
    record = KnownPeer(told.key, ipaddress.IPv4Address(told.mesh_ip), revision=1)
    extension = payload(wire, two.sent[0]).extension
    assert extension is not None
    one.events.clear()
    for run in (b"last-run", extension.boot):
        gossip = Gossip(two.key, Extension(run, 1000), records=(record,))
        proven = prove_payload("GOSSIP", encode_gossip(gossip, int(wire.now) - 60), two.key, one.key)
        wire.inject(one, seal(MessageType.GOSSIP, proven, KEYS.gossip_key, run + b"1234"), inside)
    assert one.rejections() == ["stale"]
    assert told.key in one.peers()


def test_a_peer_that_asks_for_an_introduction_is_heard_whatever_it_has_said_since() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    one.core.set_self(replace(one.description, introducer=True), (), wire.now)
    wire.advance(30.0)
    go = GoPeer(9, "192.168.1.9")
    wire.inject(one, go.hello(wire.now), go.source)
    one.core.set_self(
        replace(one.description, introducer=True), [PeerProof(go.key, Endpoint.of(go.host, 1), wire.now)], wire.now
    )
    one.sent.clear()
    offer = encode_offer(Offer(go.key, two.key), int(wire.now) - 60)
    wire.inject(one, seal(MessageType.RENDEZVOUS_OFFER, offer, KEYS.gossip_key, bytes(12)), go.source)
    assert one.rejections() == []
    wire.advance(1.0)
    starts = {str(each.to) for each in one.sent if kind(each) == "RENDEZVOUS_START"}
    assert starts == {go.source, str(two.address)}


def test_what_is_meant_for_one_is_refused_where_it_is_told_to_a_whole_lan() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    offer = encode_offer(Offer(go.key, one.key), int(wire.now))
    start = encode_start(Start(pair_id(one.key, go.key), go.key, (), 0), int(wire.now))
    gossip = encode_gossip(Gossip(go.key, Extension(bytes(8), 1)), int(wire.now))
    meant_for_one = [
        go.hello(wire.now),
        go.reply(wire.now, "192.168.1.1:52527"),
        seal(MessageType.RENDEZVOUS_OFFER, offer, KEYS.gossip_key, b"offer".ljust(12)),
        seal(MessageType.RENDEZVOUS_START, start, KEYS.gossip_key, b"start".ljust(12)),
        seal(MessageType.GOSSIP, gossip, KEYS.gossip_key, b"gossip".ljust(12)),
    ]
    for data in meant_for_one:
        wire.inject(one, data, go.source, LAN_CHANNEL)
    assert one.rejections() == ["unexpected"] * 5 and one.peers() == {}


def test_an_introducers_word_of_a_peer_whose_clock_is_ahead_is_heard() -> None:
    """Upstream's introducer does not name itself, so its word counts as one of the peer that it tells of."""
    wire = Wire()
    one = wire.add("44.130.0.1", number=1, lan=False)
    introducer, told = GoPeer(9, "44.135.0.9", {"introducer": True}), GoPeer(8, "44.136.0.8")
    wire.inject(one, introducer.hello(wire.now), introducer.source)
    wire.inject(one, introducer.reply(wire.now, str(one.address)), introducer.source)
    wire.inject(one, told.hello(wire.now + 60), told.source)
    proof = PeerProof(introducer.key, Endpoint.parse("44.135.0.9:51820"), wire.now)
    one.core.set_self(one.description, [proof], wire.now)
    wire.advance(30.0)
    seen_at = Endpoint.parse("44.137.0.8:1000")
    start = Start(pair_id(one.key, told.key), told.key, (seen_at,), round(wire.now * 1000) + 500)
    data = seal(MessageType.RENDEZVOUS_START, encode_start(start, int(wire.now)), KEYS.gossip_key, bytes(12))
    wire.inject(one, data, introducer.source)
    wire.advance(5.0)
    assert seen_at in {each.to for each in one.sent}
