"""One key on two machines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Node, Wire, prove
from support.discovery.go_peer import GoPeer
from support.discovery.pairing import prove_payload
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.announcement import Extension, decode_announcement, encode_announcement
from wgmesh.core.wire.envelope import MessageType, seal
from wgmesh.discovery.diagnosis.duplicate_keys import FRESH_S, PEERS_MAX, DuplicateKeys
from wgmesh.discovery.messages.replay import Stamp

KEY = PublicKey(bytes(range(32)))
A, B = b"run-of-a", b"run-of-b"


def test_a_run_that_speaks_after_its_successor_has_a_double() -> None:
    doubles = DuplicateKeys()
    for at, boot in ((100, A), (110, B)):
        doubles.note(KEY, Stamp(at, boot), float(at))
    assert not doubles.is_double(KEY, 110.0)  # a restart
    doubles.note(KEY, Stamp(120, A), 120.0)
    assert doubles.is_double(KEY, 120.0) and doubles.current(120.0) == [KEY]
    assert not doubles.is_double(KEY, 120.0 + FRESH_S)


def test_restarts_and_late_datagrams_of_the_last_run_are_no_double() -> None:
    doubles = DuplicateKeys()
    for at, boot in ((100, A), (110, B), (111, b"run-of-c"), (112, b"run-of-d"), (200, b"run-of-e")):
        doubles.note(KEY, Stamp(at, boot), float(at))
    doubles.note(KEY, Stamp(112, b"run-of-d"), 200.0)
    doubles.note(KEY, Stamp(300), 300.0)  # upstream's nodes have no runs
    assert not doubles.is_double(KEY, 300.0)


def test_how_many_are_watched_has_a_bound() -> None:
    doubles = DuplicateKeys()
    for number in range(PEERS_MAX + 10):
        key = PublicKey(number.to_bytes(32, "big"))
        for at, boot in ((1, A), (2, B), (9, A)):
            doubles.note(key, Stamp(at, boot), 9.0)
    assert len(doubles.current(9.0)) == PEERS_MAX


def test_who_hears_his_own_key_from_elsewhere_says_where() -> None:
    doubles = DuplicateKeys()
    assert doubles.own_notices(0.0) == []
    doubles.note_own(Endpoint.parse("192.0.2.9:52527"), 1.0)
    (told,) = doubles.own_notices(2.0)
    assert "192.0.2.9" in told.text and "remove its identity" in told.text and told.code == "duplicate-identity"
    assert doubles.own_notices(2.0 + FRESH_S) == []


def test_what_nothing_proves_is_told_as_such_and_advises_to_remove_nothing() -> None:
    doubles = DuplicateKeys()
    doubles.note_claimed(Endpoint.parse("192.0.2.9:52527"), 1.0)
    doubles.note_told(1.0)
    told = {each.code: each.text for each in doubles.own_notices(2.0)}
    assert set(told) == {"duplicate-identity", "name-in-use"}
    assert "word of this peer alone" in told["duplicate-identity"] and "has not proven" in told["name-in-use"]
    assert not any("remove" in text.lower() or "stop" in text.lower() for text in told.values())


def forged_in_the_name_of(wire: Wire, node: Node, kind: str) -> bytes:
    """What any member can say: the name of a node, another run, and a proof of no worth."""
    forger = GoPeer(node.key.raw[0], "192.168.1.66")
    body = decode_announcement(forger.announcement(wire.now)).announcement
    body = replace(body, extension=Extension(b"run-forg", 1 << 40))
    payload = prove_payload(kind, encode_announcement(body, int(wire.now)), node.key, PublicKey(bytes(32)))
    return seal(MessageType(kind), payload, KEYS.gossip_key, kind.ljust(12)[:12].encode())


@pytest.mark.attack("a member", "make the operator remove an identity")
@pytest.mark.parametrize(("kind", "channel"), [("HELLO", ""), ("ANNOUNCE", LAN_CHANNEL)])
def test_a_message_in_our_own_name_that_proves_nothing_makes_no_operator_remove_a_key(kind: str, channel: str) -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    for _ in range(3):
        wire.advance(20.0)
        wire.inject(one, forged_in_the_name_of(wire, one, kind), "192.168.1.66:52527", channel)
    wire.advance(20.0)
    assert [each.code for each in one.core.snapshot().notices] == ["name-in-use"]
    assert "remove" not in one.core.snapshot().notices[0].text


def test_what_we_have_sent_to_prove_our_key_proves_nothing_when_it_comes_back() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    for _ in range(3):
        wire.advance(20.0)
        wire.inject(one, forged_in_the_name_of(wire, one, "HELLO"), "192.168.1.66:52527")
    questions = [each.data for each in one.sent if str(each.to) == "192.168.1.66:52527"]
    assert 0 < len(questions) <= 3
    for data in questions:
        wire.inject(one, data, "192.168.1.66:52527")
    wire.remove(one)
    again = wire.add("192.168.1.1", life=1)
    for data in questions:
        wire.inject(again, data, "192.168.1.66:52527")
    wire.advance(20.0)
    for node in (one, again):
        assert "duplicate-identity" not in [each.code for each in node.core.snapshot().notices]


def test_a_copied_state_directory_is_named_on_both_machines_and_by_their_peers() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    original, copy = wire.add("192.168.1.2"), wire.add("192.168.1.3", number=2, life=1)
    wire.advance(60.0)
    assert "192.168.1.3" in notice(original) and "192.168.1.2" in notice(copy)
    assert [each.code for each in one.core.snapshot().notices] == ["duplicate-peer"]


def test_machines_that_cannot_hear_each_other_are_told_by_their_peer() -> None:
    wire = Wire()
    one = wire.add("198.51.100.1", lan=False)
    original = wire.add("192.0.2.2", number=2, lan=False)
    copy = wire.add("203.0.113.3", number=2, life=1, lan=False)
    for _ in range(3):
        for node in (original, copy):
            node.core.set_static([one.address], wire.now)
            wire.advance(70.0)
    assert "A peer hears" in notice(original) and "A peer hears" in notice(copy)


def test_a_restart_of_our_own_is_no_double() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    wire.remove(two)
    wire.advance(10.0)
    again = wire.add("192.168.1.2", life=1)
    wire.advance(60.0)
    assert again.core.snapshot().notices == one.core.snapshot().notices == ()


def notice(node: Node) -> str:
    return " ".join(each.text for each in node.core.snapshot().notices if each.code == "duplicate-identity")
