"""Who is believed to speak: proofs of possession, and what follows from their absence."""

from __future__ import annotations

from dataclasses import replace

from support.discovery_wire import KEYS, Node, Wire, cached_peer, kind
from support.go_peer import GoPeer
from support.pairing import agreements, prove_payload
from wgmesh.core.announcement import Goodbye
from wgmesh.core.envelope import MessageType, open_envelope, seal
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.events import PairKeysWanted
from wgmesh.discovery.inbox import Message
from wgmesh.discovery.pair_keys import KEYS_MAX, PATIENCE_S, WAITING_MAX, PairKeys
from wgmesh.discovery.replay import Novelty, Stamp
from wgmesh.discovery.standing import REQUIRED_S, Possessions


def two_that_have_proven_themselves() -> tuple[Wire, Node, Node]:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    assert one.peers()[two.key].possession_at is not None
    return wire, one, two


def said(node: Node, message_type: str) -> Transmit:
    return next(each for each in reversed(node.sent) if kind(each) == message_type and not each.channel)


def altered(wire: Wire, transmit: Transmit, **members: object) -> bytes:
    """What another member can make of a message: the same, with other members, sealed anew."""
    opened = open_envelope(transmit.data, KEYS.gossip_key, wire.now)
    payload = dict(opened.payload) | members
    return seal(opened.type, payload, KEYS.gossip_key, b"attacker's. ")


def test_two_nodes_prove_themselves_to_each_other_when_they_meet() -> None:
    _wire, one, two = two_that_have_proven_themselves()
    for node, other in ((one, two), (two, one)):
        assert node.peers()[other.key].possession_at is not None
    assert one.rejections() == two.rejections() == []


def test_another_member_cannot_speak_for_who_has_proven_himself() -> None:
    wire, one, two = two_that_have_proven_themselves()
    before = one.peers()[two.key]
    forged = GoPeer(
        2,
        "192.168.1.66",
        {"wg_endpoint": "192.168.1.66:1", "hostname": "mallory", "routable_networks": ["10.9.0.0/16"]},
    )
    for source in ("192.168.1.66:52527", str(two.address)):
        wire.inject(one, forged.hello(wire.now), source)
        wire.advance(3.0)
    after = one.peers()[two.key]
    assert (after.hostname, after.routable_networks) == (before.hostname, ())
    assert {each.endpoint for each in after.candidates} == {each.endpoint for each in before.candidates}
    assert after.control_endpoint == two.address


def test_a_proof_covers_every_member_of_the_message_and_its_type() -> None:
    wire, one, two = two_that_have_proven_themselves()
    hello = said(two, "HELLO")
    before = one.peers()[two.key]
    for change in ({"hostname": "mallory"}, {"routable_networks": ["10.9.0.0/16"]}, {"wg_endpoint": "192.168.1.66:1"}):
        one.events.clear()
        wire.inject(one, altered(wire, hello, **change), str(two.address))
        assert one.rejections() == ["unproven"]
    assert one.peers()[two.key] == before


def test_a_proof_for_one_recipient_is_nothing_to_another() -> None:
    wire, _one, two = two_that_have_proven_themselves()
    for_one = said(two, "HELLO")
    three = wire.add("192.168.1.3")
    wire.advance(1.0)
    three.events.clear()
    wire.inject(three, altered(wire, for_one), str(two.address))
    assert three.rejections() == ["unproven"]


def test_a_hello_without_proof_is_answered_and_asks_for_one() -> None:
    """It may be a new run that has lost its state: it must be able to come back."""
    wire, one, two = two_that_have_proven_themselves()
    wire.remove(two)
    two.host = "192.168.1.77"
    wire.nodes["192.168.1.77"] = two
    wire.drop = lambda sender, transmit: bool(transmit.channel)
    anew = wire.add("192.168.1.88", number=2, life=1, interface="192.168.1.88/24")
    wire.remove(two)
    anew.core.set_static([one.address], wire.now)
    wire.settle()
    assert one.peers()[anew.key].control_endpoint == anew.address
    assert list(anew.peers()) == [one.key]


def test_the_demand_for_proofs_outlives_a_restart_and_ends_after_a_day() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    go = GoPeer(7, "192.168.1.7")
    one.core.restore_cache([replace(cached_peer(7, "192.168.1.7"), possession_at=int(wire.now) - 3600)], wire.now)
    wire.inject(one, go.hello(wire.now), go.source)
    assert one.peers()[go.key].direct_seen_at is None
    wire.advance(REQUIRED_S)
    wire.inject(one, go.hello(wire.now), go.source)
    assert one.peers()[go.key].direct_seen_at == wire.now


def test_what_was_proven_is_kept_in_the_cache() -> None:
    wire, one, two = two_that_have_proven_themselves()
    (cached,) = one.core.cached_peers(wire.now)
    assert cached.possession_at == int(one.peers()[two.key].possession_at or 0)


def test_messages_wait_for_the_key_of_their_sender_and_are_not_lost_with_it() -> None:
    wire = Wire()
    _one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    late = wire.add("192.168.1.3", set_self=False)
    late.core.set_self(late.description, (), wire.now)
    hello = said(two, "HELLO")
    payload = prove_payload(
        "HELLO", dict(open_envelope(hello.data, KEYS.gossip_key, wire.now).payload), two.key, late.key
    )
    late.core.handle_datagram(seal("HELLO", payload, KEYS.gossip_key, bytes(12)), two.address, wire.now)
    wanted: list[PublicKey] = []
    while (event := late.core.poll_event()) is not None:
        wanted += event.public_keys if isinstance(event, PairKeysWanted) else []
    assert wanted == [two.key] and late.peers() == {}
    late.core.set_pair_keys(agreements(late.key, wanted), wire.now)
    assert late.peers()[two.key].possession_at == wire.now


def test_without_an_agreement_a_message_counts_as_one_without_proof_after_a_second() -> None:
    wire = Wire()
    two = wire.add("192.168.1.2")
    one = wire.add("192.168.1.1", set_self=False)
    one.core.set_self(one.description, (), wire.now)
    hello = two.core  # it says HELLO to whoever is heard of
    hello.set_static([one.address], wire.now)
    wire.nodes.pop(one.host)
    wire.settle()
    one.core.handle_datagram(said(two, "HELLO").data, two.address, wire.now)
    assert one.peers() == {}
    one.core.handle_timeout(wire.now + PATIENCE_S)
    assert one.peers()[two.key].possession_at is None


def test_what_waits_and_what_is_remembered_has_a_bound() -> None:
    keys, possessions = PairKeys(), Possessions()
    strangers = [PublicKey(number.to_bytes(32, "big")) for number in range(KEYS_MAX + 10)]
    goodbye = Message(MessageType.GOODBYE, strangers[0], Goodbye(strangers[0]), Stamp(0), Novelty.NEW)
    address = Endpoint.parse("192.0.2.1:1")
    parked = sum(keys.park(replace(goodbye, sender=each), b"", address, "", 0.0) for each in strangers[:1000])
    assert parked == WAITING_MAX
    for each in strangers:
        keys.settle(each, None)
        possessions.note(each, 0.0)
    assert not keys.is_settled(strangers[0]) and keys.is_settled(strangers[-1])
    assert possessions.at(strangers[0]) is None and possessions.at(strangers[-1]) == 0.0


def test_a_reply_relabelled_as_hello_proves_nothing() -> None:
    wire, one, two = two_that_have_proven_themselves()
    payload = dict(open_envelope(said(two, "REPLY").data, KEYS.gossip_key, wire.now).payload)
    payload.pop("observed_endpoint")
    one.events.clear()
    wire.inject(one, seal(MessageType.HELLO, payload, KEYS.gossip_key, bytes(12)), str(two.address))
    assert one.rejections() == ["unproven"]
