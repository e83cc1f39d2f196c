"""One key on two machines."""

from __future__ import annotations

from support.discovery_wire import Node, Wire, prove
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.doubles import FRESH_S, PEERS_MAX, Doubles
from wgmesh.discovery.replay import Stamp

KEY = PublicKey(bytes(range(32)))
A, B = b"run-of-a", b"run-of-b"


def test_a_run_that_speaks_after_its_successor_has_a_double() -> None:
    doubles = Doubles()
    for at, boot in ((100, A), (110, B)):
        doubles.note(KEY, Stamp(at, boot), float(at))
    assert not doubles.is_double(KEY, 110.0)  # a restart
    doubles.note(KEY, Stamp(120, A), 120.0)
    assert doubles.is_double(KEY, 120.0) and doubles.current(120.0) == [KEY]
    assert not doubles.is_double(KEY, 120.0 + FRESH_S)


def test_restarts_and_late_datagrams_of_the_last_run_are_no_double() -> None:
    doubles = Doubles()
    for at, boot in ((100, A), (110, B), (111, b"run-of-c"), (112, b"run-of-d"), (200, b"run-of-e")):
        doubles.note(KEY, Stamp(at, boot), float(at))
    doubles.note(KEY, Stamp(112, b"run-of-d"), 200.0)
    doubles.note(KEY, Stamp(300), 300.0)  # upstream's nodes have no runs
    assert not doubles.is_double(KEY, 300.0)


def test_how_many_are_watched_has_a_bound() -> None:
    doubles = Doubles()
    for number in range(PEERS_MAX + 10):
        key = PublicKey(number.to_bytes(32, "big"))
        for at, boot in ((1, A), (2, B), (9, A)):
            doubles.note(key, Stamp(at, boot), 9.0)
    assert len(doubles.current(9.0)) == PEERS_MAX


def test_who_hears_his_own_key_from_elsewhere_says_where() -> None:
    doubles = Doubles()
    assert doubles.own_sentence(0.0) == ""
    doubles.note_own(Endpoint.parse("192.0.2.9:52527"), 1.0)
    assert "192.0.2.9" in doubles.own_sentence(2.0) and "identity" in doubles.own_sentence(2.0)
    assert doubles.own_sentence(2.0 + FRESH_S) == ""


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
