"""A peer that we call suspect, stale or silent ourselves is told to nobody, and is asked where it may be."""

from __future__ import annotations

from dataclasses import replace

from support.discovery.discovery_wire import KEYS, Node, Wire, kind, payload, shared_by
from support.discovery.go_peer import GoPeer, meet
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.core.wire.gossip_message import PREFIX_BYTES, decode_gossip
from wgmesh.core.wire.rendezvous import Offer, encode_offer
from wgmesh.discovery.members.candidates import PROOF_FRESH_S
from wgmesh.discovery.members.record import SILENT_S, TELLABLE_S


def proof(node: Node | GoPeer, now: float) -> PeerProof:
    return PeerProof(node.key, Endpoint.of(node.host, 51820), now)


def named_by(wire: Wire, node: Node) -> set[bytes]:
    """The beginnings of all keys that a node has told others, in whatever message."""
    named: set[bytes] = set()
    for transmit in node.sent:
        if kind(transmit) in ("HELLO", "REPLY", "ANNOUNCE"):
            named |= {known.public_key.raw[:PREFIX_BYTES] for known in payload(wire, transmit).known_peers}
        elif kind(transmit) == "GOSSIP":
            body = decode_gossip(open_envelope(transmit.data, KEYS.gossip_key, wire.now).payload)
            named |= {known.public_key.raw[:PREFIX_BYTES] for known in body.records}
            named |= {entry.prefix for bucket in body.buckets for entry in bucket.entries}
    return named


def test_a_lost_peer_is_named_in_no_reply_until_it_answers_again() -> None:
    wire = Wire()
    go, dead = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    for each in (go, dead):
        meet(wire, one, each)
    one.core.set_self(one.description, [proof(dead, wire.now), proof(go, wire.now)], wire.now)
    wire.inject(one, go.hello(wire.now + 1), go.source)
    assert dead.key in shared_by(wire, one)

    one.core.set_self(one.description, [proof(go, wire.now)], wire.now, [dead.key])
    one.sent.clear()
    for second in range(5):
        wire.inject(one, go.hello(wire.now + 2 + second), go.source)
    wire.inject(one, dead.hello(wire.now + 9), dead.source)  # it speaks, and its tunnel is lost all the same
    wire.inject(one, go.hello(wire.now + 10), go.source)
    assert dead.key not in shared_by(wire, one)
    assert go.key in shared_by(wire, one)

    one.core.set_self(one.description, [proof(dead, wire.now), proof(go, wire.now)], wire.now)
    one.sent.clear()
    wire.inject(one, go.hello(wire.now + 11), go.source)
    assert dead.key in shared_by(wire, one)


def test_a_lost_peer_is_in_no_message_of_a_mesh_of_our_own_kind() -> None:
    wire = Wire()
    one, two, three = (wire.add(f"192.168.1.{number}") for number in (1, 2, 3))
    wire.advance(5.0)

    def tell(lost: PublicKey | None) -> None:
        for node in (one, two):
            others = [each for each in (one, two, three) if each is not node and each.key != lost]
            proofs = [proof(each, wire.now) for each in others]
            node.core.set_self(node.description, proofs, wire.now, [] if lost is None else [lost])
        wire.settle()

    tell(None)
    for _ in range(6):
        wire.advance(20.0)
        tell(None)
    wire.remove(three)
    tell(three.key)
    for node in (one, two):
        node.sent.clear()
    newcomer = wire.add("192.168.1.4")
    for _ in range(12):
        wire.advance(20.0)
        tell(three.key)

    prefix = three.key.raw[:PREFIX_BYTES]
    for node in (one, two):
        assert prefix not in named_by(wire, node)
    assert named_by(wire, one) | named_by(wire, two)  # they do tell of others
    assert newcomer.peers().keys() == {one.key, two.key}


def test_a_peer_that_nothing_was_heard_of_for_minutes_is_named_no_more_although_it_is_not_removed_yet() -> None:
    wire = Wire()
    go, quiet = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    meet(wire, one, quiet)
    meet(wire, one, go)
    assert TELLABLE_S < SILENT_S
    wire.advance(TELLABLE_S + 1)
    one.sent.clear()

    wire.inject(one, go.hello(wire.now), go.source)

    assert quiet.key in one.peers()
    assert quiet.key not in shared_by(wire, one)


def test_a_silent_peer_that_speaks_again_is_named_again() -> None:
    wire = Wire()
    go, quiet = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    meet(wire, one, quiet)
    wire.advance(TELLABLE_S + 1)
    one.sent.clear()
    for _ in range(60):  # its own words pay for our question, which comes at its turn
        wire.inject(one, quiet.hello(wire.now), quiet.source)
        wire.advance(1.0)
        if any(kind(each) == "HELLO" and str(each.to) == quiet.source for each in one.sent):
            break
    wire.inject(one, quiet.reply(wire.now, str(one.address)), quiet.source)
    meet(wire, one, go)
    one.sent.clear()

    wire.inject(one, go.hello(wire.now + 1), go.source)

    assert quiet.key in shared_by(wire, one)


def test_nobody_is_led_to_a_lost_peer() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    described = replace(one.description, introducer=True)
    one.core.set_self(described, (), wire.now)
    wire.advance(30.0)
    go = GoPeer(9, "192.168.1.9")
    meet(wire, one, go)
    one.core.set_self(described, [proof(go, wire.now)], wire.now, [two.key])
    wire.remove(two)
    wire.advance(2.0)
    one.sent.clear()
    offer = encode_offer(Offer(go.key, two.key), int(wire.now))

    wire.inject(one, seal(MessageType.RENDEZVOUS_OFFER, offer, KEYS.gossip_key, bytes(12)), go.source)
    wire.advance(1.0)

    assert one.rejections() == []
    assert [each for each in one.sent if kind(each) == "RENDEZVOUS_START"] == []


def test_the_proven_address_of_a_lost_peer_is_no_longer_the_first_to_be_tried() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(2.0)
    roamed = Endpoint.parse("203.0.113.7:4444")
    one.core.set_self(one.description, [PeerProof(two.key, roamed, wire.now)], wire.now)
    assert one.peers()[two.key].candidates[0].endpoint == roamed

    one.core.set_self(one.description, (), wire.now + 1, [two.key])

    first = one.peers()[two.key].candidates[0]
    assert first.endpoint.host == two.address.host
    (proven,) = [each for each in one.peers()[two.key].candidates if each.endpoint == roamed]
    assert proven.proven_at is not None
    assert proven.proven_at <= wire.now + 1 - PROOF_FRESH_S


def test_a_peer_that_is_lost_is_asked_at_once_where_it_may_be_and_only_then() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(2.0)
    one.core.set_self(one.description, [proof(two, wire.now)], wire.now)
    wire.advance(1.0)
    one.sent.clear()

    one.core.set_self(one.description, (), wire.now, [two.key])
    wire.settle()
    asked = [each for each in one.sent if kind(each) == "HELLO" and each.to == two.address]
    assert len(asked) == 1

    one.core.set_self(one.description, (), wire.now, [two.key])
    wire.settle()
    assert len([each for each in one.sent if kind(each) == "HELLO" and each.to == two.address]) == 1


def test_a_key_that_is_lost_and_unknown_is_nobody() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")

    one.core.set_self(one.description, (), wire.now, [PublicKey(bytes([77]) * 32)])

    assert one.peers() == {}
