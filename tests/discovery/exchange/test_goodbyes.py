"""GOODBYE: to whom it is said, and whose is believed."""

from __future__ import annotations

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Node, Wire, kind, prove
from support.discovery.go_peer import GoPeer
from wgmesh.core.model import Endpoint, PeerProof
from wgmesh.core.wire.announcement import decode_goodbye
from wgmesh.core.wire.envelope import open_envelope
from wgmesh.discovery.events import PeerLeft
from wgmesh.discovery.members.pending_goodbyes import CONFIRM_S, FRESHNESS_S, GRACE_S

GO = GoPeer(9, "192.168.1.9")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def one(wire: Wire) -> Node:
    """Knows a Go neighbour, which has not answered it yet."""
    one = wire.add("192.168.1.1")
    hello = GO.hello(wire.now)
    for _ in range(4):  # as upstream's nodes do while nobody answers: what comes from there may be answered
        wire.inject(one, hello, GO.source)
    one.events.clear()
    return one


def leave(wire: Wire, node: Node) -> dict[str, list[bytes]]:
    """Lets a node leave; its goodbyes to single addresses, by address."""
    wire.advance(1.0)
    node.sent.clear()
    node.core.goodbye(wire.now)
    wire.settle()
    said: dict[str, list[bytes]] = {}
    for each in node.sent:
        assert kind(each) == "GOODBYE"
        if not each.channel:
            said.setdefault(str(each.to), []).append(each.data)
    return said


def has_proof(wire: Wire, data: bytes) -> bool:
    extension = decode_goodbye(open_envelope(data, KEYS.gossip_key, wire.now).payload).extension
    return extension is not None and bool(extension.proof)


def answer(wire: Wire, node: Node) -> None:
    """Lets the Go neighbour answer what it was asked last."""
    wire.inject(node, GO.reply(wire.now, str(node.address)), GO.source)


def tunnel_to(wire: Wire, node: Node, peer: GoPeer) -> None:
    """Tells a node that WireGuard has just reached a Go peer."""
    proof = PeerProof(peer.key, Endpoint.parse(f"{peer.host}:51820"), wire.now)
    node.core.set_self(node.description, [proof], wire.now)
    wire.settle()


def test_a_peer_is_told_once_where_it_answers_with_the_proof_that_it_is_us(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    said = leave(wire, one)
    assert list(said) == [str(two.address)] and [len(each) for each in said.values()] == [1]
    assert has_proof(wire, said[str(two.address)][0])


def test_a_peer_that_has_answered_outside_is_told_there_although_its_tunnel_works(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    assert list(leave(wire, one)) == [str(two.address)]


def test_a_peer_that_has_never_answered_is_told_where_it_should_be(wire: Wire, one: Node) -> None:
    said = leave(wire, one)
    assert list(said) == [GO.source] and len(said[GO.source]) == 1  # although a question is under way there


def test_a_peer_whose_answers_do_not_arrive_is_told_although_its_purse_is_empty(wire: Wire) -> None:
    """It has heard us, so it lists us, and our questions have used up all that came from it."""
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", set_self=False)
    wire.drop = lambda sender, transmit: sender is one and kind(transmit) == "REPLY"
    two.core.set_self(two.description, (), wire.now)
    wire.advance(4.0)
    assert list(one.peers()) == [two.key]
    assert str(one.address) in leave(wire, two)
    assert one.peers() == {}


def test_a_peer_that_only_its_tunnel_reaches_is_told_through_the_tunnel(wire: Wire, one: Node) -> None:
    wire.advance(10.0)  # the HELLO outside is given up
    tunnel_to(wire, one, GO)
    assert list(leave(wire, one)) == [GO.tunnel_source]


def test_a_node_that_was_asked_and_may_know_us_is_told_without_a_proof_for_anybody(wire: Wire) -> None:
    one = wire.add("192.168.1.1")
    asked = Endpoint.parse("198.51.100.77:52527")
    one.core.set_static([asked, Endpoint.parse("10.0.0.1:52527")], wire.now)
    wire.settle()
    said = leave(wire, one)
    assert str(asked) in said and not has_proof(wire, said[str(asked)][0])


def test_a_question_in_the_tunnel_that_nobody_has_answered_is_no_reason_for_a_goodbye(wire: Wire, one: Node) -> None:
    stranger = str(one.description.mesh_ipv4 + 1)
    one.core.set_static([Endpoint.of(stranger, 52527)], wire.now)
    wire.settle()
    assert stranger in {str(each.to.host) for each in one.sent if kind(each) == "HELLO"}
    assert list(leave(wire, one)) == [GO.source]


def test_a_peer_without_any_address_is_told_nothing(wire: Wire, one: Node) -> None:
    nowhere = GoPeer(8, "192.168.1.8", {"wg_endpoint": "0.0.0.0:51820"})
    wire.inject(one, GO.reply(wire.now, str(one.address), known_peers=[nowhere.known_peer()]), GO.source)
    assert nowhere.key in one.peers()
    assert list(leave(wire, one)) == [GO.source]


def test_a_goodbye_that_is_said_twice_is_heard_twice_and_refused_never(wire: Wire, one: Node) -> None:
    answer(wire, one)
    left_at = wire.now
    for source, channel in ((GO.source, LAN_CHANNEL), (GO.source, "")):
        wire.inject(one, GO.goodbye(left_at), source, channel)
        assert one.rejections() == []
    wire.advance(CONFIRM_S)
    wire.inject(one, GO.goodbye(left_at), GO.source)
    assert one.peers() == {} and one.rejections() == []


def test_a_goodbye_of_somebody_unknown_is_refused(wire: Wire, one: Node) -> None:
    stranger = GoPeer(8, "192.168.1.8")
    wire.inject(one, stranger.goodbye(wire.now), stranger.source)
    assert one.rejections() == ["unknown-sender"]


def test_a_goodbye_without_proof_is_believed_only_from_where_its_sender_is(wire: Wire, one: Node) -> None:
    wire.inject(one, GO.goodbye(wire.now), "198.51.100.66:52527")
    assert one.rejections() == ["unknown-sender"] and GO.key in one.peers()
    wire.inject(one, GO.goodbye(wire.now), f"{GO.host}:4444")  # the host is the peer's, whatever the port
    assert one.peers() == {}


def test_a_goodbye_is_believed_from_where_its_sender_has_just_said_hello(wire: Wire, one: Node) -> None:
    moved, other = "198.51.100.9:52527", GoPeer(8, "198.51.100.8")
    wire.inject(one, GO.hello(wire.now), moved)
    wire.inject(one, other.hello(wire.now), "198.51.100.80:52527")
    wire.inject(one, GO.goodbye(wire.now), "198.51.100.80:52527")
    assert one.rejections() == ["unknown-sender"]
    wire.inject(one, GO.goodbye(wire.now), moved)
    assert list(one.peers()) == [other.key]


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_goodbye_without_proof_from_a_clock_that_is_off_by_more_than_a_minute_is_not_believed(sign: int) -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.inject(one, GO.hello(wire.now - 120), GO.source)
    wire.inject(one, GO.goodbye(wire.now + sign * (FRESHNESS_S + 1)), GO.source)
    assert one.rejections() == ["stale"] and GO.key in one.peers()
    wire.inject(one, GO.goodbye(wire.now + sign * FRESHNESS_S), GO.source)
    assert one.peers() == {}


@pytest.mark.parametrize("offset_s", [-300.0, 300.0])
def test_a_proven_goodbye_is_believed_at_once_whatever_the_clock_and_the_tunnel_say(offset_s: float) -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", skew_s=offset_s)
    prove(wire, one, two)
    wire.advance(3.0)
    two.core.goodbye(wire.now + offset_s)
    wire.settle()
    assert one.peers() == {}


def test_a_proven_goodbye_is_believed_from_anywhere(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    wire.drop = lambda sender, transmit: True
    data = leave(wire, two)[str(one.address)][0]
    wire.inject(one, data, "198.51.100.66:1")
    assert one.peers() == {}


def test_who_has_given_a_proof_before_is_not_sent_away_without_one(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    one.events.clear()
    forged = GoPeer(2, "192.168.1.2")
    wire.inject(one, forged.goodbye(wire.now + 5), forged.source)
    assert one.rejections() == ["unproven"]
    wire.inject(one, forged.goodbye(wire.now + 5), forged.source, LAN_CHANNEL)
    assert one.rejections() == ["unproven"]  # to a whole LAN nobody can prove anything, so that is no event
    wire.advance(5.0)
    assert two.key in one.peers()


def test_a_peer_with_a_working_tunnel_is_asked_before_a_goodbye_without_proof_is_believed(
    wire: Wire, one: Node
) -> None:
    tunnel_to(wire, one, GO)
    said_at = int(wire.now)
    wire.inject(one, GO.goodbye(said_at), GO.source)
    wire.advance(CONFIRM_S / 2)
    wire.inject(one, GO.goodbye(wire.now), GO.source)  # does not make the wait longer
    assert GO.key in one.peers()
    one.sent.clear()
    wire.advance(CONFIRM_S / 2)
    assert one.peers() == {}
    wire.inject(one, GO.hello(said_at), GO.source)
    assert one.peers() == {}
    wire.inject(one, GO.hello(said_at + 1), GO.source)
    assert GO.key in one.peers()


def test_who_left_comes_back_with_what_it_says_after_its_goodbye(wire: Wire, one: Node) -> None:
    answer(wire, one)
    left_at = wire.now
    wire.inject(one, GO.goodbye(left_at), GO.source)
    wire.advance(CONFIRM_S)
    wire.inject(one, GO.hello(left_at), GO.source)
    assert one.peers() == {}
    wire.inject(one, GO.hello(left_at + 1), GO.source)
    assert GO.key in one.peers()


@pytest.mark.attack("a member", "keep another out with a GOODBYE that is dated ahead")
@pytest.mark.parametrize("is_reached", [False, True], ids=["answers", "tunnel"])
def test_a_forged_goodbye_dated_ahead_keeps_nobody_out_beyond_now(wire: Wire, one: Node, is_reached: bool) -> None:
    """The peer is silent for a moment, as on a bad line, and speaks again a second later."""
    answer(wire, one)
    if is_reached:
        tunnel_to(wire, one, GO)
    wire.inject(one, GO.goodbye(wire.now + FRESHNESS_S - 1), GO.source)
    wire.advance(CONFIRM_S)
    assert one.peers() == {}  # it has not answered
    wire.advance(1.0)
    wire.inject(one, GO.hello(wire.now), GO.source)
    assert GO.key in one.peers()


def test_a_forged_goodbye_removes_nobody_who_answers(wire: Wire, one: Node) -> None:
    answer(wire, one)
    wire.inject(one, GO.goodbye(wire.now + 30), GO.source)
    wire.advance(GRACE_S)
    answer(wire, one)
    wire.advance(CONFIRM_S)
    assert GO.key in one.peers() and one.events_of(PeerLeft) == []


def test_a_goodbye_in_the_name_of_somebody_only_heard_of_is_refused(wire: Wire, one: Node) -> None:
    told = GoPeer(8, "198.51.100.8")
    wire.inject(one, GO.reply(wire.now, str(one.address), known_peers=[told.known_peer()]), GO.source)
    wire.inject(one, told.goodbye(wire.now), told.source)
    assert one.rejections() == ["unknown-sender"] and told.key in one.peers()


@pytest.mark.attack("somebody without the secret", "remove a peer with its own GOODBYE, after a restart")
def test_a_proven_goodbye_that_is_replayed_after_a_restart_of_ours_changes_nothing(wire: Wire) -> None:
    """The peer has left and come back. The new run of ours has met it in the cache alone, and no nonce."""
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    goodbye = leave(wire, two)[str(one.address)][0]
    wire.remove(two)
    wire.advance(3.0)
    two = wire.add("192.168.1.2", life=1)
    wire.advance(3.0)
    cache = one.core.cached_peers(wire.now)
    wire.remove(one)
    wire.drop = lambda sender, transmit: bool(transmit.channel)
    one = wire.add("192.168.1.1", life=1)
    one.core.restore_cache(cache, wire.now)
    wire.inject(one, goodbye, str(two.address))
    wire.advance(CONFIRM_S + 1.0)
    assert list(one.peers()) == [two.key] and one.events_of(PeerLeft) == []


def test_a_proven_goodbye_of_an_earlier_run_changes_nothing_even_if_its_clock_was_ahead(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", skew_s=120.0)
    wire.advance(3.0)
    wire.drop = lambda sender, transmit: sender is two
    two.core.goodbye(wire.now + 120.0)
    wire.settle()
    goodbye = next(each.data for each in reversed(two.sent) if kind(each) == "GOODBYE" and not each.channel)
    wire.remove(two)
    wire.drop = lambda sender, transmit: False
    two = wire.add("192.168.1.2", life=1)
    wire.advance(3.0)
    assert has_proof(wire, goodbye)
    wire.inject(one, goodbye, str(two.address))
    wire.advance(CONFIRM_S + 1.0)
    assert list(one.peers()) == [two.key] and one.events_of(PeerLeft) == []
