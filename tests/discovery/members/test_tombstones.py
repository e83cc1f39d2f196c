"""Departed peers."""

from __future__ import annotations

from wgmesh.core.model import PublicKey
from wgmesh.discovery.bounds import TOMBSTONES_MAX
from wgmesh.discovery.members.tombstones import RECORDS_S, TOMBSTONE_S, Tombstones

KEY = PublicKey(bytes(32))


def test_hearsay_is_refused_for_fifteen_minutes() -> None:
    stones = Tombstones()
    stones.bury(KEY, 50, 100.0)
    assert stones.refuses_second_hand(KEY, 100.0 + TOMBSTONE_S - 1)
    assert not stones.refuses_second_hand(KEY, 100.0 + TOMBSTONE_S)
    assert TOMBSTONE_S >= 900.0


def test_only_a_message_newer_than_the_departure_counts_as_direct() -> None:
    stones = Tombstones()
    stones.bury(KEY, 50, 100.0)
    assert stones.refuses_direct(KEY, 50, 101.0)
    assert not stones.refuses_direct(KEY, 51, 101.0)
    stones.revive(KEY)
    assert not stones.refuses_second_hand(KEY, 101.0)


def test_a_message_from_within_the_second_of_the_departure_counts_only_if_its_process_is_a_new_one() -> None:
    stones = Tombstones()
    stones.bury(KEY, 50, 100.0)
    assert not stones.refuses_direct(KEY, 50, 101.0, is_new_run=True)
    assert stones.refuses_direct(KEY, 49, 101.0, is_new_run=True)


def test_who_never_left_is_refused_nothing() -> None:
    stones = Tombstones()
    stones.revive(KEY)
    assert not stones.refuses_direct(KEY, 0, 101.0)
    assert not stones.refuses_second_hand(KEY, 101.0)
    assert not stones.refuses_record(KEY, 0, 101.0)


def test_who_leaves_once_more_is_remembered_as_one_that_has_just_left() -> None:
    stones = Tombstones(tombstones_max=2)
    first, second, third = (PublicKey(number.to_bytes(32, "big")) for number in range(3))
    for key in (first, second, first, third):
        stones.bury(key, 0, 100.0)
    assert stones.refuses_second_hand(first, 100.0) and stones.refuses_second_hand(third, 100.0)
    assert not stones.refuses_second_hand(second, 100.0)


def test_the_oldest_stones_give_way() -> None:
    stones = Tombstones()
    for number in range(TOMBSTONES_MAX + 1):
        stones.bury(PublicKey(number.to_bytes(32, "big")), 0, 100.0)
    assert not stones.refuses_second_hand(PublicKey((0).to_bytes(32, "big")), 100.0)
    assert stones.refuses_second_hand(PublicKey((1).to_bytes(32, "big")), 100.0)


def test_a_record_from_before_the_departure_is_refused_for_as_long_as_a_dht_gives_it_out() -> None:
    stones = Tombstones()
    stones.bury(KEY, 50, 100.0)
    assert stones.refuses_record(KEY, 50, 100.0 + TOMBSTONE_S + 1)
    assert not stones.refuses_record(KEY, 51, 100.0)
    assert not stones.refuses_record(KEY, 50, 100.0 + RECORDS_S)
    stones.bury(KEY, 50, 100.0, record_at=90)
    assert stones.refuses_record(KEY, 90, 100.0)
