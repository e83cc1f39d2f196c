"""Departed peers."""

from __future__ import annotations

from wgmesh.core.model import PublicKey
from wgmesh.discovery.tombstones import RECORDS_S, TOMBSTONE_S, TOMBSTONES_MAX, Tombstones

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
