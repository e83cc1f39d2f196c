"""Who is believed to speak: proofs of possession, and what follows from their absence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, Node, Wire, cached_peer, kind
from support.discovery.go_peer import GoPeer, meet
from support.discovery.pairing import agreements, pair_key, prove_payload
from wgmesh.core.keys.possession import proof
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.announcement import Goodbye
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.discovery.bounds import KEYS_MAX, WAITING_MAX
from wgmesh.discovery.events import PairKeysWanted
from wgmesh.discovery.messages.authentication import POSSESSIONS_MAX, REQUIRED_S, Possessions, Standing, judge
from wgmesh.discovery.messages.inbox import Message, Received, Rejected, Rejection
from wgmesh.discovery.messages.pair_keys import PATIENCE_S, WAITING_PER_HOST_MAX, PairKeys
from wgmesh.discovery.messages.replay import Novelty, Stamp

OWN, KEY, OTHER = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))


def proven_goodbye() -> Message:
    """KEY's goodbye to OWN."""
    made = proof(pair_key(KEY, OWN), "GOODBYE", KEY, OWN, b"transcript")
    goodbye = Goodbye(KEY)
    return Message(MessageType.GOODBYE, KEY, goodbye, Stamp(0), Novelty.NEW, True, made, b"transcript")


def two_that_have_proven_themselves() -> tuple[Wire, Node, Node]:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(3.0)
    assert one.peers()[two.key].possession_at is not None
    return wire, one, two


def said(node: Node, message_type: str) -> Transmit:
    return next(each for each in reversed(node.sent) if kind(each) == message_type and not each.channel)


def altered(wire: Wire, transmit: Transmit, **members: object) -> bytes:
    """What another member can make of a message: the same, with other members, sealed again."""
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
    again = wire.add("192.168.1.88", number=2, life=1, interface="192.168.1.88/24")
    wire.remove(two)
    again.core.set_static([one.address], wire.now)
    wire.settle()
    assert one.peers()[again.key].control_endpoint == again.address
    assert list(again.peers()) == [one.key]


def test_the_demand_for_proofs_outlives_a_restart_and_ends_after_a_day() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    go = GoPeer(7, "192.168.1.7")
    proven_at = int(wire.now - REQUIRED_S) + 30  # by the life before
    one.core.restore_cache([replace(cached_peer(7, "192.168.1.7"), possession_at=proven_at)], wire.now)
    for _ in range(2):
        wire.inject(one, go.hello(wire.now), go.source)
        assert one.peers()[go.key].direct_seen_at is None
        wire.advance(proven_at + REQUIRED_S - 1.0 - wire.now)
    wire.advance(10.0)
    meet(wire, one, go)
    assert one.peers()[go.key].direct_seen_at == wire.now


def test_a_renewed_proof_extends_the_demand_for_proofs() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    proven_at = int(wire.now - REQUIRED_S) + 60
    one.core.restore_cache([replace(cached_peer(2, "192.168.1.2"), possession_at=proven_at)], wire.now)
    two = wire.add("192.168.1.2")
    wire.remove(two)
    wire.advance(120.0)  # the proof of the run before has lapsed
    forged = GoPeer(2, "192.168.1.66", {"hostname": "mallory"})
    wire.inject(one, forged.hello(wire.now), forged.source)
    wire.advance(3.0)
    assert one.peers()[two.key].hostname == "node-2"


def test_a_proof_counts_from_when_it_was_given_last_whatever_order_that_is_learned_in() -> None:
    possessions = Possessions()
    for at in (100.0, 80_000.0, 50_000.0):
        possessions.note(KEY, at)
    assert possessions.at(KEY) == 80_000.0
    assert possessions.are_required_of(KEY, 80_000.0 + REQUIRED_S - 1)
    assert not possessions.are_required_of(KEY, 80_000.0 + REQUIRED_S)
    assert not possessions.are_required_of(OTHER, 80_000.0)


def test_who_proves_itself_again_is_not_the_first_to_be_forgotten() -> None:
    possessions = Possessions()
    keys = [PublicKey(number.to_bytes(32, "big")) for number in range(POSSESSIONS_MAX + 1)]
    for key in (*keys[:-1], keys[0], keys[-1]):
        possessions.note(key, 0.0)
    assert possessions.at(keys[0]) == possessions.at(keys[2]) == 0.0 and possessions.at(keys[1]) is None


def test_a_proof_stands_only_against_the_key_agreed_with_its_sender() -> None:
    message, keys, possessions = proven_goodbye(), PairKeys(), Possessions()
    keys.settle(KEY, pair_key(KEY, OWN))
    assert judge(message, OWN, keys, possessions, 0.0) is Standing.PROVEN
    keys.settle(KEY, pair_key(KEY, OTHER))
    with pytest.raises(Rejected) as refused:
        judge(message, OWN, keys, possessions, 0.0)
    assert refused.value.reason is Rejection.UNPROVEN


def test_a_proof_that_cannot_be_checked_is_none() -> None:
    message, keys, possessions = proven_goodbye(), PairKeys(), Possessions()
    assert judge(message, OWN, keys, possessions, 0.0) is Standing.UNPROVEN
    possessions.note(KEY, 0.0)
    assert judge(message, OWN, keys, possessions, 0.0) is Standing.DOUBTFUL
    keys.settle(KEY, None)  # no point to agree with
    assert judge(message, OWN, keys, possessions, 0.0) is Standing.DOUBTFUL


def test_a_message_without_proof_is_doubted_only_of_who_has_given_one() -> None:
    message, keys, possessions = replace(proven_goodbye(), proof=b""), PairKeys(), Possessions()
    keys.settle(KEY, pair_key(KEY, OWN))
    possessions.note(OTHER, 0.0)
    assert judge(message, OWN, keys, possessions, 0.0) is Standing.UNPROVEN
    possessions.note(KEY, 0.0)
    assert judge(message, OWN, keys, possessions, 0.0) is Standing.DOUBTFUL
    assert judge(message, OWN, keys, possessions, REQUIRED_S) is Standing.UNPROVEN


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
    hello = two.core  # it says HELLO to everybody that it hears of
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
    messages = [replace(goodbye, sender=each) for each in strangers[:1000]]
    here = Endpoint.parse("192.0.2.1:1")
    assert sum(keys.park(Received(each, 0, here), 0.0) for each in messages) == WAITING_PER_HOST_MAX
    places = [Endpoint.of(f"198.51.100.{number % 100 + 1}", 1) for number in range(1000)]
    parked = sum(keys.park(Received(each, 0, place), 0.0) for each, place in zip(messages, places, strict=True))
    assert parked == WAITING_MAX - WAITING_PER_HOST_MAX
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
