"""What a HELLO brings: an answer each time, and a question of our own where it shows a new place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, Node, Wire, cached_peer, kind, payload, prove
from support.discovery.go_peer import GoPeer
from support.discovery.pairing import prove_payload
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.core.wire.announcement import Extension, decode_announcement, encode_announcement
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.core.wire.probe import Probe, decode_probe_reply, encode_probe
from wgmesh.discovery.members.pending_goodbyes import CONFIRM_S

GO, TOLD = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
ELSEWHERE = "198.51.100.77:52527"


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def one(wire: Wire) -> Node:
    one = wire.add("192.168.1.1")
    one.sent.clear()
    return one


def met(wire: Wire, one: Node, peer: GoPeer) -> None:
    """Lets a Go peer say HELLO and answer ours: it is known where it is."""
    wire.inject(one, peer.hello(wire.now), peer.source)
    wire.inject(one, peer.reply(wire.now, str(one.address)), peer.source)
    one.sent.clear()


def sent(node: Node, message: str) -> list[str]:
    """Where a node has sent messages of a type to since the last call of this for any."""
    return [str(each.to) for each in node.sent if kind(each) == message]


def named_to(wire: Wire, node: Node, source: str) -> set[PublicKey]:
    """The peers that a node names in its last REPLY to an address."""
    reply = [each for each in node.sent if kind(each) == "REPLY" and str(each.to) == source][-1]
    return {known.public_key for known in payload(wire, reply).known_peers}


def test_a_hello_is_answered_where_it_came_from_and_its_sender_told_where_it_was_seen(wire: Wire, one: Node) -> None:
    wire.inject(one, GO.hello(wire.now), ELSEWHERE)
    reply = one.sent[0]
    assert (kind(reply), str(reply.to)) == ("REPLY", ELSEWHERE)
    assert payload(wire, reply).observed_endpoint == Endpoint.parse(ELSEWHERE)


def test_an_answer_proves_to_the_asker_that_it_is_ours(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    replies = [each for each in one.sent if kind(each) == "REPLY" and each.to == two.address]
    extension = payload(wire, replies[-1]).extension
    assert extension is not None and extension.proof


def test_who_has_not_answered_yet_is_asked_at_each_of_its_hellos(wire: Wire, one: Node) -> None:
    far = GoPeer(7, "10.77.0.7")
    wire.inject(one, far.hello(wire.now), far.source)
    assert sent(one, "HELLO") == [far.source]
    wire.advance(4.5)  # nobody has answered: a pause begins
    one.sent.clear()
    wire.inject(one, far.hello(wire.now), far.source)
    assert sent(one, "HELLO") == [far.source]


def test_who_is_known_where_it_speaks_from_is_answered_and_not_asked(wire: Wire, one: Node) -> None:
    met(wire, one, GO)
    wire.inject(one, GO.hello(wire.now + 1), GO.source)
    assert (sent(one, "REPLY"), sent(one, "HELLO")) == ([GO.source], [])


def test_a_known_peer_that_speaks_from_elsewhere_is_asked_there_with_pauses(wire: Wire, one: Node) -> None:
    met(wire, one, GO)
    wire.inject(one, GO.hello(wire.now), ELSEWHERE)
    assert sent(one, "HELLO") == [ELSEWHERE]
    wire.advance(4.5)
    one.sent.clear()
    wire.inject(one, GO.hello(wire.now), ELSEWHERE)
    assert sent(one, "HELLO") == []  # a forged source is not asked as often as somebody likes


def native(wire: Wire, kind: str, run: bytes, sequence: int, to: Node) -> bytes:
    """A HELLO or REPLY of our own kind, of node 9 in one run of its process, with its proof."""
    body = decode_announcement(GO.announcement(wire.now)).announcement
    observed = to.address if kind == "REPLY" else None
    body = replace(body, observed_endpoint=observed, extension=Extension(run, sequence))
    proven = prove_payload(kind, encode_announcement(body, int(wire.now)), GO.key, to.key)
    return seal(MessageType(kind), proven, KEYS.gossip_key, run + sequence.to_bytes(4, "big"))


def test_a_new_run_is_asked_at_once_although_its_address_was_silent_before(wire: Wire, one: Node) -> None:
    met(wire, one, GO)
    wire.inject(one, native(wire, "HELLO", b"boot-one", 1, one), ELSEWHERE)
    wire.advance(4.5)
    one.sent.clear()
    wire.inject(one, native(wire, "HELLO", b"boot-one", 2, one), ELSEWHERE)
    assert sent(one, "HELLO") == []
    wire.inject(one, native(wire, "HELLO", b"boot-two", 1, one), ELSEWHERE)
    assert sent(one, "HELLO") == [ELSEWHERE]


def test_a_new_run_is_asked_where_its_predecessor_has_answered(wire: Wire, one: Node) -> None:
    wire.inject(one, native(wire, "HELLO", b"boot-one", 1, one), GO.source)
    wire.inject(one, native(wire, "REPLY", b"boot-one", 2, one), GO.source)
    assert one.peers()[GO.key].control_endpoint == Endpoint.parse(GO.source)
    one.sent.clear()
    wire.inject(one, native(wire, "HELLO", b"boot-one", 3, one), GO.source)
    assert sent(one, "HELLO") == []
    wire.inject(one, native(wire, "HELLO", b"boot-two", 1, one), GO.source)
    assert GO.source in sent(one, "HELLO")


def test_who_must_prove_itself_and_does_not_is_answered_asked_and_not_believed(wire: Wire, one: Node) -> None:
    one.core.restore_cache([replace(cached_peer(9, "192.0.2.9"), possession_at=int(wire.now))], wire.now)
    wire.inject(one, GO.hello(wire.now), GO.source)
    assert sent(one, "REPLY") == [GO.source] and GO.source in sent(one, "HELLO")
    assert one.peers()[GO.key].direct_seen_at is None
    wire.advance(4.5)
    one.sent.clear()
    wire.inject(one, GO.hello(wire.now), GO.source)
    assert sent(one, "HELLO") == [GO.source]  # at once: our HELLO lets it prove itself


def test_who_has_said_goodbye_later_than_its_hello_is_answered_and_not_asked(wire: Wire, one: Node) -> None:
    met(wire, one, GO)
    left_at = wire.now + 2
    wire.inject(one, GO.goodbye(left_at), GO.source)
    wire.advance(CONFIRM_S)
    one.sent.clear()
    wire.inject(one, GO.hello(left_at - 1), GO.source)
    assert (sent(one, "REPLY"), sent(one, "HELLO"), one.peers()) == ([GO.source], [], {})


def test_a_hello_through_the_tunnel_is_answered_there_and_asks_nobody(wire: Wire, one: Node) -> None:
    wire.inject(one, GO.hello(wire.now), GO.tunnel_source)
    assert (sent(one, "REPLY"), sent(one, "HELLO")) == ([GO.tunnel_source], [])
    assert GO.key in one.peers()


def test_a_hello_is_answered_with_the_peers_that_we_know_and_a_repeated_one_without(wire: Wire, one: Node) -> None:
    met(wire, one, TOLD)
    met(wire, one, GO)
    hello = GO.hello(wire.now)
    wire.inject(one, hello, GO.source)
    assert named_to(wire, one, GO.source) == {TOLD.key}
    wire.inject(one, hello, GO.source)
    assert len(sent(one, "REPLY")) == 2 and named_to(wire, one, GO.source) == set()


def test_a_repeated_hello_does_not_make_its_sender_look_alive(wire: Wire, one: Node) -> None:
    hello, heard_at = GO.hello(wire.now), wire.now
    wire.inject(one, hello, GO.source)
    wire.inject(one, GO.reply(wire.now, str(one.address)), GO.source)
    wire.advance(30.0)
    wire.inject(one, hello, GO.source)
    assert one.peers()[GO.key].direct_seen_at == heard_at


def test_a_hello_that_was_overtaken_is_answered_and_teaches_nothing(wire: Wire, one: Node) -> None:
    met(wire, one, GO)
    wire.inject(one, GO.hello(wire.now - 5, hostname="old"), ELSEWHERE)
    assert (sent(one, "REPLY"), sent(one, "HELLO")) == ([ELSEWHERE], [])
    assert one.peers()[GO.key].hostname == "go-9"


def test_our_own_kind_hears_of_others_by_gossip_once_its_tunnel_works(wire: Wire) -> None:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    met(wire, one, TOLD)
    wire.drop = lambda sender, transmit: bool(transmit.channel)
    for is_proven in (False, True):
        if is_proven:
            prove(wire, one, two)
        one.sent.clear()
        two.core.probe_address(one.address, 2.0, wire.now)
        wire.settle()
        assert named_to(wire, one, str(two.address)) == (set() if is_proven else {TOLD.key})


def test_a_go_peer_is_told_of_others_although_its_tunnel_works(wire: Wire, one: Node) -> None:
    met(wire, one, TOLD)
    met(wire, one, GO)
    proof = PeerProof(GO.key, Endpoint.parse("192.168.1.9:51820"), wire.now)
    one.core.set_self(one.description, [proof], wire.now)
    wire.inject(one, GO.hello(wire.now + 1), GO.source)
    assert named_to(wire, one, GO.source) == {TOLD.key}


def test_a_probe_is_answered_where_it_came_from_with_what_it_asked_by(wire: Wire, one: Node) -> None:
    probe = seal(MessageType.PROBE, encode_probe(Probe(bytes(range(16))), int(wire.now)), KEYS.gossip_key, bytes(12))
    wire.inject(one, probe, ELSEWHERE)
    (answer,) = one.sent
    reply = decode_probe_reply(open_envelope(answer.data, KEYS.gossip_key, wire.now).payload)
    assert (str(answer.to), reply.token, reply.observed_endpoint) == (
        ELSEWHERE,
        bytes(range(16)),
        Endpoint.parse(ELSEWHERE),
    )
    assert one.peers() == {}
