"""A GOODBYE reaches everybody who knows us, is believed where it is true, and does not outlive a new start."""

from __future__ import annotations

from support.discovery.discovery_wire import KEYS, Node, Wire, kind, prove
from support.discovery.go_peer import GoPeer
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.events import PeerLeft


def leave(wire: Wire, node: Node) -> None:
    """An orderly stop."""
    node.core.goodbye(wire.now)
    wire.settle()
    wire.remove(node)


def test_a_node_that_leaves_before_it_has_heard_of_its_neighbour_is_dropped_at_once() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.advance(3.0)
    wire.drop = lambda sender, transmit: sender is one
    two = wire.add("192.168.1.2")
    assert list(one.peers()) == [two.key] and two.peers() == {}
    leave(wire, two)
    assert one.peers() == {}


def test_a_node_that_leaves_before_its_static_peer_has_answered_is_dropped_at_once() -> None:
    """Behind a NAT its GOODBYE comes from an address that only its HELLO has shown."""
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    wire.drop = lambda sender, transmit: sender is one
    two = wire.add("198.51.100.2", lan=False, interface="10.99.0.2/24")
    two.core.set_static([one.address], wire.now)
    wire.settle()
    assert list(one.peers()) == [two.key] and two.peers() == {}
    leave(wire, two)
    assert one.peers() == {}


def test_a_goodbye_from_an_address_that_the_peer_never_spoke_from_is_rejected() -> None:
    wire = Wire(agrees=False)
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    wire.remove(two)
    two.core.goodbye(wire.now)
    goodbyes = said(two)
    assert {kind(each) for each in goodbyes} == {"GOODBYE"}
    assert {bool(each.channel) for each in goodbyes} == {True, False}
    for goodbye in goodbyes:
        wire.inject(one, goodbye.data, f"192.168.1.77:{KEYS.gossip_port}", goodbye.channel)
    assert list(one.peers()) == [two.key]
    assert one.rejections() == ["unknown-sender", "unknown-sender"]


def test_a_goodbye_that_is_said_twice_is_no_rejection() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    leave(wire, two)
    assert one.events_of(PeerLeft) == [PeerLeft(two.key, "goodbye")] and one.rejections() == []


def test_a_reply_that_the_goodbye_has_overtaken_is_no_sign_of_life() -> None:
    wire = Wire(agrees=False)
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    prove(wire, one, two)
    late: list[Transmit] = []

    def hold_replies(sender: Node, transmit: Transmit) -> bool:
        if sender is two and kind(transmit) == "REPLY":
            late.append(transmit)
        return sender is two and kind(transmit) == "REPLY"

    wire.drop = hold_replies
    inside = Endpoint(two.description.mesh_ipv4, KEYS.gossip_port)
    assert one.core.probe_address(inside, 4.0, wire.now)
    wire.settle()
    leave(wire, two)
    assert list(one.peers()) == [two.key]
    wire.inject(one, late[0].data, str(inside))
    wire.advance(2.0)
    assert one.peers() == {}


def test_a_peer_that_has_not_left_answers_and_stays() -> None:
    wire = Wire(agrees=False)
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    prove(wire, one, two)
    forged = GoPeer(2, two.host).goodbye(wire.now)
    wire.inject(one, forged, str(two.address))
    asked = len([each for each in one.sent if kind(each) == "HELLO"])
    wire.advance(0.6)
    assert len([each for each in one.sent if kind(each) == "HELLO"]) > asked
    wire.advance(5.0)
    assert list(one.peers()) == [two.key] and one.events_of(PeerLeft) == []


def test_a_restart_within_the_second_of_the_goodbye_is_known_at_once() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    leave(wire, two)
    assert one.peers() == {}
    wire.advance(0.5)
    two = wire.add("192.168.1.2", life=1)
    assert list(one.peers()) == [two.key] and list(two.peers()) == [one.key]


def test_a_restart_before_the_goodbye_is_believed_keeps_the_tunnel() -> None:
    wire = Wire(agrees=False)
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    prove(wire, one, two)
    leave(wire, two)
    wire.advance(0.4)
    wire.drop = lambda sender, transmit: kind(transmit) == "REPLY"  # its announcement alone is enough
    wire.add("192.168.1.2", life=1)
    wire.advance(5.0)
    assert list(one.peers()) == [two.key] and one.events_of(PeerLeft) == []


def test_a_goodbye_with_the_proof_of_its_sender_is_believed_at_once_from_anywhere() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    prove(wire, one, two)
    wire.remove(two)
    two.core.goodbye(wire.now)
    for goodbye in said(two):
        if not goodbye.channel:
            wire.inject(one, goodbye.data, f"198.51.100.77:{KEYS.gossip_port}")
    assert one.peers() == {} and one.events_of(PeerLeft) == [PeerLeft(two.key, "goodbye")]


def test_a_goodbye_without_proof_of_somebody_who_can_prove_himself_changes_nothing() -> None:
    """Every member can seal one in the name of another."""
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    one.sent.clear()
    wire.inject(one, GoPeer(2, two.host).goodbye(wire.now), str(two.address))
    assert list(one.peers()) == [two.key]
    assert one.rejections() == ["unproven"] and one.sent == []


def test_a_recorded_goodbye_does_not_end_the_next_run() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    wire.remove(two)
    two.core.goodbye(wire.now)
    recorded = [each for each in said(two) if not each.channel]
    wire.advance(2.0)
    again = wire.add("192.168.1.2", life=1)
    wire.advance(2.0)
    for goodbye in recorded:
        wire.inject(one, goodbye.data, str(again.address))
    assert list(one.peers()) == [two.key] and one.rejections() == ["stale"]


def said(node: Node) -> list[Transmit]:
    """What a node that is no longer on the wire wants to send."""
    transmits = []
    while (transmit := node.core.poll_transmit()) is not None:
        transmits.append(transmit)
    return transmits
