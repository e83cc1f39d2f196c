"""Cores joined by a fake wire, in the order of a node's life: meet, stay in touch, change, leave."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace

import pytest
from support.discovery_wire import KEYS, LAN_CHANNEL, START, Node, Wire, describe
from support.go_peer import GoPeer
from wgmesh.core.advertised import AdvertisedEndpoint
from wgmesh.core.announcement import Announcement, decode_announcement
from wgmesh.core.envelope import open_envelope
from wgmesh.core.model import CandidateSource, Endpoint, LayerState, PeerProof, PublicKey
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.events import PeerLeft, PeersChanged, PeerSighted, ProbeAnswered, ProbeFailed
from wgmesh.discovery.lan import LanInterface


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
    wire.advance(60.0)
    for node in others:
        assert set(node.peers()) == {other.key for other in [hub, *others]} - {node.key}
        assert all(peer.control_endpoint is not None for peer in node.peers().values())
    assert "static" in others[0].peers()[hub.key].discovery_methods
    static = [
        each for each in others[0].peers()[hub.key].candidates if each.endpoint == Endpoint.of("192.0.2.1", 51820)
    ]
    assert static[0].source is CandidateSource.OBSERVED


def test_a_static_peer_that_is_down_is_tried_for_ever() -> None:
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    one.core.set_static([Endpoint.parse("198.51.100.2:52527")], wire.now)
    wire.advance(6 * 3600.0)
    two = wire.add("198.51.100.2", number=2, lan=False)
    wire.advance(80.0)
    assert list(one.peers()) == [two.key]


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


def test_inside_the_tunnel_we_never_send_a_wildcard_and_never_an_observation() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("10.0.5.1")
    wire.inject(one, go.hello(wire.now), go.source)
    one.sent.clear()
    wire.inject(one, go.hello(wire.now + 1), go.tunnel_source)
    (reply,) = [each for each in one.sent if kind(each) == "REPLY"]
    assert payload(wire, reply).observed_endpoint is None
    assert payload(wire, reply).endpoint == AdvertisedEndpoint(ipaddress.ip_address("10.0.5.1"), 51820)
    peer = one.peers()[go.key]
    assert {str(each.endpoint) for each in peer.candidates} == {"192.168.1.9:51820"}


def test_outside_we_name_the_external_address_and_else_leave_it_to_the_source() -> None:
    wire = Wire()
    go = GoPeer(9, "198.51.100.9")
    one = wire.add("10.0.5.1")
    wire.inject(one, go.hello(wire.now), go.source)
    reply = next(each for each in one.sent if kind(each) == "REPLY")
    assert payload(wire, reply).endpoint == AdvertisedEndpoint(None, 51820)
    external = (Endpoint.parse("[2001:db8::7]:51820"), Endpoint.parse("203.0.113.7:40000"))
    one.core.set_self(replace(one.description, external_endpoints=external), (), wire.now)
    one.sent.clear()
    wire.inject(one, go.hello(wire.now + 1), go.source)
    reply = next(each for each in one.sent if kind(each) == "REPLY")
    body = payload(wire, reply)
    assert body.endpoint == AdvertisedEndpoint.of(external[1])
    assert body.extension is not None
    assert body.extension.candidates == (*external, Endpoint.parse("10.0.5.1:51820"))


def test_every_peer_hears_from_us_within_a_minute_for_hours() -> None:
    wire = Wire()
    one, two = wire.add("192.0.2.1", lan=False), wire.add("198.51.100.2", lan=False)
    one.core.set_static([two.address], wire.now)
    wire.advance(1.0)
    seen = []
    for _ in range(60):
        wire.advance(60.0)
        seen.append(two.peers()[one.key].direct_seen_at)
    assert all(at is not None and START + 60.0 * number < at for number, at in enumerate(seen))


def test_a_proven_peer_is_refreshed_through_the_tunnel() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    one.sent.clear()
    for _ in range(6):
        prove(wire, one, two)
        wire.advance(20.0)
    hellos = [str(each.to.host) for each in one.sent if kind(each) == "HELLO"]
    assert hellos and set(hellos) == {str(two.description.mesh_ipv4)}


def test_a_refresh_that_fails_in_the_tunnel_goes_outside() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.drop = lambda sender, transmit: transmit.to.host == two.description.mesh_ipv4 or bool(transmit.channel)
    prove(wire, one, two)
    one.sent.clear()
    wire.advance(60.0)
    asked = [str(each.to.host) for each in one.sent if kind(each) == "HELLO"]
    assert asked.count(str(two.description.mesh_ipv4)) == 6  # the whole ladder, then outside
    assert "192.168.1.2" in asked


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


def test_a_peer_proven_by_wireguard_alone_hears_from_us() -> None:
    wire = Wire()
    go, told = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now, known_peers=[told.known_peer()]), go.source)
    wire.advance(10.0)
    one.sent.clear()
    for _ in range(3):
        one.core.set_self(one.description, [PeerProof(told.key, Endpoint.parse("198.51.100.8:1"), wire.now)], wire.now)
        wire.advance(20.0)
    assert told.tunnel_source in {str(each.to) for each in one.sent}


def test_second_hand_peers_are_shown_and_asked_and_not_passed_on() -> None:
    wire = Wire()
    go, told = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now, known_peers=[told.known_peer()]), go.source)
    peer = one.peers()[told.key]
    assert peer.discovery_methods == ("known-peer",) and peer.direct_seen_at is None
    assert peer.candidates[0].source is CandidateSource.SECOND_HAND
    asked = [payload(wire, each) for each in one.sent if str(each.to) == told.source]
    assert asked and all(body.known_peers == () for body in asked)
    wire.inject(one, go.hello(wire.now + 1), go.source)
    assert told.key not in shared_by(wire, one)
    one.core.set_self(one.description, [PeerProof(told.key, Endpoint.parse("198.51.100.8:51820"), wire.now)], wire.now)
    wire.inject(one, go.hello(wire.now + 2), go.source)
    assert told.key in shared_by(wire, one)


def test_second_hand_news_never_keeps_a_dead_peer_alive() -> None:
    wire = Wire()
    go, told = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    gone_at = None
    for minute in range(24):
        wire.inject(one, go.hello(wire.now, known_peers=[told.known_peer()]), go.source)
        wire.advance(60.0)
        if gone_at is None and told.key not in one.peers():
            gone_at = minute
        if gone_at is not None:
            assert told.key not in one.peers()
    assert gone_at is not None and 9 <= gone_at <= 11


def test_a_silent_peer_goes_after_ten_minutes_and_a_proven_one_stays() -> None:
    wire = Wire()
    one, two, three = (wire.add(f"192.168.1.{number}") for number in (1, 2, 3))
    wire.remove(two)
    wire.remove(three)
    for _ in range(60):
        prove(wire, one, three)
        wire.advance(60.0)
        assert three.key in one.peers()
    assert two.key not in one.peers()
    assert one.events_of(PeerLeft) == [PeerLeft(two.key, "silent")]
    wire.advance(790.0)
    assert one.peers() == {}


def test_a_goodbye_removes_us_everywhere_and_silences_us() -> None:
    wire = Wire()
    one, two, three = (wire.add(f"192.168.1.{number}") for number in (1, 2, 3))
    wire.advance(2.0)
    two.core.goodbye(wire.now)
    wire.settle()
    assert two.key not in one.peers() and two.key not in three.peers()
    assert one.events_of(PeerLeft) == [PeerLeft(two.key, "goodbye")]
    assert two.core.poll_timeout() is None
    wire.advance(120.0)
    assert list(one.peers()) == [three.key]  # and nobody has brought it back


def test_a_goodbye_of_a_peer_with_a_working_tunnel_takes_two_seconds() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    wire.advance(2.0)
    two.core.goodbye(wire.now)
    wire.settle()
    assert list(one.peers()) == [two.key]
    wire.advance(2.0)
    assert one.peers() == {}


def test_a_departed_peer_comes_back_by_itself_and_not_by_hearsay() -> None:
    wire = Wire()
    go, teller = GoPeer(9, "192.168.1.9"), GoPeer(8, "192.168.1.8")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    wire.advance(1.0)
    wire.inject(one, go.goodbye(wire.now), go.source)
    assert go.key not in one.peers()
    wire.inject(one, teller.hello(wire.now, known_peers=[go.known_peer()]), teller.source)
    assert list(one.peers()) == [teller.key]
    wire.inject(one, go.hello(wire.now), go.source)  # from before the goodbye
    assert list(one.peers()) == [teller.key]
    wire.inject(one, go.hello(wire.now + 1), go.source)
    assert go.key in one.peers()


def test_a_forgotten_peer_comes_back_when_it_speaks() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(2.0)
    assert one.core.forget(two.key, wire.now)
    assert not one.core.forget(two.key, wire.now)
    assert one.peers() == {}
    wire.advance(5.0)
    assert list(one.peers()) == [two.key]


def test_cached_peers_are_asked_at_start_whatever_their_age_and_never_many_at_once() -> None:
    wire = Wire()
    there = wire.add("198.51.100.250", number=250, lan=False)
    one = wire.add("192.0.2.1", lan=False)
    cached = [cached_peer(number, f"198.51.100.{number}") for number in range(2, 251)]
    one.core.restore_cache(cached, wire.now)
    wire.settle()
    assert len(one.peers()) == 249
    assert len({each.to for each in one.sent}) <= 8
    wire.advance(249 / 8 * 4.5)
    assert one.peers()[there.key].control_endpoint == there.address
    assert {each.public_key for each in one.core.cached_peers(wire.now)} == {there.key}


def test_cached_peers_of_another_mesh_are_left_out() -> None:
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    foreign = replace(cached_peer(5, "198.51.100.5"), mesh_ipv4=ipaddress.IPv4Address("10.99.0.5"))
    one.core.restore_cache([foreign], wire.now)
    assert one.peers() == {}


def test_the_cache_does_not_override_what_was_heard() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    one.core.restore_cache([replace(cached_peer(2, "198.51.100.2"), hostname="old")], wire.now)
    assert one.peers()[two.key].hostname == "node-2"


def test_gossip_tells_a_proven_peer_of_others_through_the_tunnel() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1", gossip=True), wire.add("192.168.1.2", gossip=True)
    go = GoPeer(9, "198.51.100.9")
    wire.inject(one, go.hello(wire.now), go.source)
    prove(wire, one, two)
    one.sent.clear()
    wire.advance(10.5)
    gossip = [each for each in one.sent if kind(each) == "ANNOUNCE" and not each.channel]
    assert {str(each.to.host) for each in gossip} == {str(two.description.mesh_ipv4)}
    assert go.key in two.peers()
    assert "gossip" in two.peers()[one.key].discovery_methods


def test_without_gossip_a_go_nodes_gossip_is_ignored_and_ours_is_not_sent() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.announce(wire.now), go.tunnel_source)
    assert one.peers() == {} and one.rejections() == ["unexpected"]


def test_a_probe_reports_who_answers_and_who_does_not() -> None:
    wire = Wire()
    one, two = wire.add("192.0.2.1", lan=False), wire.add("198.51.100.2", lan=False)
    nobody = Endpoint.parse("198.51.100.3:52527")
    for target in (two.address, nobody):
        assert one.core.probe_address(target, 2.0, wire.now)
    wire.advance(2.0)
    (answer,) = one.events_of(ProbeAnswered)
    assert isinstance(answer, ProbeAnswered)
    assert (answer.target, answer.public_key, answer.hostname) == (two.address, two.key, "node-2")
    assert answer.observed_endpoint == one.address
    assert one.events_of(ProbeFailed) == [ProbeFailed(nobody)]


def test_a_node_on_the_same_host_with_another_port_is_found() -> None:
    """Two nodes share one address: the second could not have the mesh's port."""
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.remove(one)
    two = wire.add("192.168.1.1", number=2)
    two.core.set_exchange_port(60000, wire.now)
    wire.inject(one, next(each.data for each in two.sent if each.channel), "192.168.1.1:51830", LAN_CHANNEL)
    assert two.key in one.peers() and one.peers()[two.key].control_endpoint is None
    hello = next(each.data for each in one.sent if each.channel)
    wire.inject(two, hello, "192.168.1.1:51830", LAN_CHANNEL)
    asked = next(each for each in two.sent if kind(each) == "HELLO")
    wire.nodes.clear()
    one.core.handle_datagram(asked.data, Endpoint.parse("192.168.1.1:60000"), wire.now)
    back = [each for each in iter(one.core.poll_transmit, None) if not each.channel]
    assert ("HELLO", "192.168.1.1:60000") in [(kind(each), str(each.to)) for each in back]


def test_no_ipv6_means_no_ipv6_candidates() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9", {"wg_endpoint": "[2001:db8::9]:51820"})
    one, other = wire.add("192.168.1.1", ipv6=False), wire.add("192.168.1.2")
    for node in (one, other):
        wire.inject(node, go.hello(wire.now), go.source)
    assert one.peers()[go.key].candidates == ()
    assert str(other.peers()[go.key].candidates[0].endpoint) == "[2001:db8::9]:51820"


def test_the_mesh_address_of_another_is_not_taken_from_hearsay() -> None:
    wire = Wire()
    go, liar = GoPeer(9, "192.168.1.9"), GoPeer(8, "192.168.1.8")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    thief = GoPeer(7, "198.51.100.7").known_peer() | {"mesh_ip": go.mesh_ip}
    usurper = GoPeer(6, "198.51.100.6").known_peer() | {"mesh_ip": str(one.description.mesh_ipv4)}
    wire.inject(one, liar.hello(wire.now, known_peers=[thief, usurper]), liar.source)
    assert set(one.peers()) == {go.key, liar.key}


def test_a_peer_outside_our_mesh_subnet_is_shown_and_reported() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9", {"mesh_ip": "10.50.0.9"})
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    assert str(one.peers()[go.key].mesh_ipv4) == "10.50.0.9"
    layer = next(layer for layer in one.core.snapshot().layers if layer.name == "exchange")
    assert layer.state is LayerState.DEGRADED and "--mesh-subnet" in layer.detail


@pytest.mark.parametrize("count", [5, 150])
def test_datagrams_stay_small_however_large_the_mesh(count: int) -> None:
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    go = GoPeer(9, "192.168.1.9")
    for number in range(count):
        peer = GoPeer(9, f"198.18.{number // 200}.{number % 200 + 1}", {"hostname": "h" * 60})
        peer.members |= {"wg_pubkey": PublicKey(number.to_bytes(32, "big")).text}
        wire.inject(one, peer.hello(wire.now), peer.source)
    told: set[PublicKey] = set()
    for _ in range(2 * count):
        one.sent.clear()
        wire.inject(one, go.hello(wire.now + 1), go.source)
        wire.advance(0.1)
        told |= shared_by(wire, one)
    assert len(told) >= count  # by turns, everybody is told of everybody
    assert max(len(transmit.data) for _, transmit in wire.carried) <= 1232


def prove(wire: Wire, node: Node, peer: Node) -> None:
    proofs = [PeerProof(peer.key, Endpoint.of(peer.host, 51820), wire.now)]
    node.core.set_self(node.description, proofs, wire.now)
    wire.settle()


def kind(transmit: Transmit) -> str:
    return str(json.loads(transmit.data)["type"])


def payload(wire: Wire, transmit: Transmit) -> Announcement:
    return decode_announcement(open_envelope(transmit.data, KEYS.gossip_key, wire.now).payload).announcement


def shared_by(wire: Wire, node: Node) -> set[PublicKey]:
    replies = [each for each in node.sent if kind(each) == "REPLY"]
    return {known.public_key for each in replies for known in payload(wire, each).known_peers}


def cached_peer(number: int, host: str) -> CachedPeer:
    description = describe(number)
    return CachedPeer(
        public_key=description.public_key,
        mesh_ipv4=description.mesh_ipv4,
        last_seen=0,
        hostname=description.hostname,
        endpoint=AdvertisedEndpoint.of(Endpoint.of(host, 51820)),
    )
