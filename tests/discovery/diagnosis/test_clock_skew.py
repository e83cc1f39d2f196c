"""Whose clock is wrong."""

from __future__ import annotations

import pytest
from support.discovery.discovery_wire import Wire
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import PEERS_MAX
from wgmesh.discovery.diagnosis.clock_skew import FRESH_S, ClockSkew

SOURCE = Endpoint.parse("192.168.1.9:52527")
RECORDER = Endpoint.parse("192.168.1.66:52527")
KEYS = [PublicKey(bytes([number]) * 32) for number in range(5)]


def test_clocks_that_agree_are_no_matter() -> None:
    skew = ClockSkew()
    for key in KEYS:
        skew.note(key, -0.4, 1000.9)
    assert skew.sentence(1001.0) == "" and skew.peers_off(1001.0) == []


@pytest.mark.parametrize(("offset", "word"), [(300, "behind"), (-300, "ahead of")])
def test_most_peers_decide_whose_clock_is_wrong(offset: int, word: str) -> None:
    skew = ClockSkew()
    for key in KEYS[:4]:
        skew.note(key, offset + 0.5, 1000.0)
    skew.note(KEYS[4], 0.5, 1000.0)
    sentence = skew.sentence(1000.0)
    assert f"300 s {word}" in sentence and "600 s" in sentence
    assert skew.peers_off(1000.0) == []  # it is ours


def test_one_peer_that_is_off_is_named_and_we_are_not() -> None:
    skew = ClockSkew()
    for key in KEYS[:4]:
        skew.note(key, 0.5, 1000.0)
    skew.note(KEYS[4], 300.5, 1000.0)
    assert skew.sentence(1000.0) == "" and skew.peers_off(1000.0) == [KEYS[4]]


def test_a_refused_message_counts_only_where_nobody_else_is_heard() -> None:
    skew = ClockSkew()
    skew.note_refused(SOURCE, 900.0, 1000.0)
    assert "900 s behind" in skew.sentence(1000.0) and "refuse" in skew.sentence(1000.0)
    skew.note(KEYS[0], 0.5, 1000.0)
    assert skew.sentence(1000.0) == ""
    assert ClockSkew().sentence(0.0) == ""


def test_what_nothing_proves_and_what_one_peer_alone_shows_is_worded_as_that() -> None:
    """Neither says that this node's clock is wrong: a recording is refused too, and one peer may be wrong."""
    refused, alone, several = ClockSkew(), ClockSkew(), ClockSkew()
    refused.note_refused(SOURCE, 900.0, 1000.0)
    alone.note(KEYS[0], 300.5, 1000.0)
    for key in KEYS[:2]:
        several.note(key, 300.5, 1000.0)
    assert "Nothing proves that message" in refused.sentence(1000.0)
    assert "Either may be wrong" in alone.sentence(1000.0)
    assert not any("Set the clock" in each.sentence(1000.0) for each in (refused, alone))
    assert "Set the clock" in several.sentence(1000.0)


def test_old_measurements_and_too_many_are_forgotten() -> None:
    skew = ClockSkew()
    skew.note(KEYS[0], 300.5, 1000.0)
    assert skew.offset_s(1000.0 + FRESH_S) is None
    for number in range(500):
        skew.note(PublicKey(number.to_bytes(32, "big")), 0.5 if number < 500 - PEERS_MAX else 300.5, 1000.0)
    assert skew.offset_s(1000.0) == 300.5


def test_a_node_whose_clock_is_five_minutes_off_is_a_member_and_is_warned() -> None:
    wire = Wire()
    others = [wire.add(f"192.168.1.{number}") for number in (1, 2, 3)]
    late = wire.add("192.168.1.4", skew_s=-300.0)
    wire.advance(30.0)
    assert set(late.peers()) == {other.key for other in others}
    assert all(late.key in other.peers() for other in others)
    assert [each.code for each in late.core.snapshot().notices] == ["clock-skew"]
    assert {each.code for each in others[0].core.snapshot().notices} == {"peer-clock-skew"}


def test_a_node_whose_clock_is_a_quarter_of_an_hour_off_is_alone_and_knows_why() -> None:
    wire = Wire()
    wire.add("192.168.1.1")
    late = wire.add("192.168.1.4", skew_s=-900.0)
    wire.advance(30.0)
    assert late.peers() == {}
    (only,) = late.core.snapshot().notices
    assert only.code == "clock-skew" and "900 s behind" in only.text and "NTP" in only.text


def test_a_wrong_clock_is_told_from_a_recording_that_is_repeated() -> None:
    """A clock is off by as much in each message; a recording is a second older each second."""
    skew = ClockSkew()
    skew.note(KEYS[0], 0.5, 1000.0)
    for after_s in range(0, 60, 5):
        skew.note_refused(SOURCE, 3600.0, 1000.0 + after_s)
        skew.note_refused(RECORDER, -3600.0 - after_s, 1000.0 + after_s)
    assert skew.refused(1060.0) == {SOURCE.host: 3600.0}


def test_one_refused_message_names_nobody_and_one_that_is_taken_ends_it() -> None:
    skew = ClockSkew()
    skew.note(KEYS[0], 0.5, 1000.0)
    skew.note_refused(SOURCE, 3600.0, 1000.0)
    assert skew.refused(1000.0) == {}
    skew.note_refused(SOURCE, 3600.0, 1010.0)
    assert skew.refused(1010.0) == {SOURCE.host: 3600.0}
    skew.note_accepted(SOURCE)
    assert skew.refused(1011.0) == {}


def test_who_is_not_borne_out_by_others_says_of_nobody_that_its_clock_is_wrong() -> None:
    skew = ClockSkew()
    for at in (1000.0, 1010.0):
        skew.note_refused(SOURCE, 3600.0, at)
    assert skew.refused(1010.0) == {} and "3600 s behind" in skew.sentence(1010.0)


def test_when_our_clock_is_set_what_was_measured_is_seen_beside_the_new_one() -> None:
    skew = ClockSkew()
    skew.note(KEYS[0], -3600.0, 1000.0)
    skew.clock_set(-3600.0)
    assert skew.offset_s(1000.0) == 0.0 and skew.sentence(1000.0) == ""
