"""Who joins and who leaves: hearsay, silence, goodbyes, the cache."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from support.discovery.discovery_wire import Wire, cached_peer, payload, prove, shared_by
from support.discovery.go_peer import GoPeer, meet
from wgmesh.core.model import CandidateSource, Endpoint, LayerState, PeerProof
from wgmesh.discovery.events import PeerLeft
from wgmesh.discovery.members.pending_goodbyes import CONFIRM_S


def test_second_hand_peers_are_shown_and_asked_and_not_passed_on() -> None:
    wire = Wire()
    go, told = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    meet(wire, one, go, known_peers=[told.known_peer()])
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
        one.core.set_static([Endpoint.parse(go.source)], wire.now)  # asks it once a minute
        meet(wire, one, go, known_peers=[told.known_peer()])
        wire.advance(60.0)
        if gone_at is None and told.key not in one.peers():
            gone_at = minute
        if gone_at is not None:
            assert told.key not in one.peers()
    assert gone_at is not None and 9 <= gone_at <= 11


def test_the_mesh_address_of_another_is_not_taken_from_hearsay() -> None:
    wire = Wire()
    go, liar = GoPeer(9, "192.168.1.9"), GoPeer(8, "192.168.1.8")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    thief = GoPeer(7, "198.51.100.7").known_peer() | {"mesh_ip": go.mesh_ip}
    usurper = GoPeer(6, "198.51.100.6").known_peer() | {"mesh_ip": str(one.description.mesh_ipv4)}
    wire.inject(one, liar.hello(wire.now, known_peers=[thief, usurper]), liar.source)
    assert set(one.peers()) == {go.key, liar.key}


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


def test_a_node_whose_tunnels_stay_says_no_goodbye_and_falls_silent() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", keep_interface=True)
    wire.advance(2.0)
    two.sent.clear()
    two.core.goodbye(wire.now)
    wire.settle()
    wire.advance(120.0)
    assert two.sent == [] and two.core.poll_timeout() is None
    assert list(one.peers()) == [two.key]


def test_a_goodbye_without_proof_of_a_peer_with_a_working_tunnel_takes_two_seconds() -> None:
    wire = Wire(agrees=False)
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
    meet(wire, one, go)
    wire.advance(1.0)
    left_at = wire.now
    wire.inject(one, go.goodbye(left_at), go.source)
    wire.advance(CONFIRM_S)
    assert go.key not in one.peers()
    meet(wire, one, teller, known_peers=[go.known_peer()])
    assert list(one.peers()) == [teller.key]
    wire.inject(one, go.hello(left_at), go.source)  # from before the goodbye
    assert list(one.peers()) == [teller.key]
    wire.inject(one, go.hello(left_at + 1), go.source)
    assert go.key in one.peers()


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


def test_a_peer_outside_our_mesh_subnet_is_shown_and_reported() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9", {"mesh_ip": "10.50.0.9"})
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now), go.source)
    layer = next(layer for layer in one.core.snapshot().layers if layer.name == "exchange")
    assert layer.state is LayerState.RUNNING  # only a name yet, which anybody could have said
    meet(wire, one, go)
    assert str(one.peers()[go.key].mesh_ipv4) == "10.50.0.9"
    layer = next(layer for layer in one.core.snapshot().layers if layer.name == "exchange")
    assert layer.state is LayerState.DEGRADED and "--mesh-subnet" in layer.detail
