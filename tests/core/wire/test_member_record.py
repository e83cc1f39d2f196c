"""A member's sealed record: small, readable by members only, and only where and when it belongs."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import endpoints, hostnames, mesh_ipv4, nat_types, public_keys
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.keys.epoch_keys import ROSTER_SLOTS, EpochKeys, epoch_keys
from wgmesh.core.keys.keyschedule import derive, hour_of, network_id_at
from wgmesh.core.keys.possession import PairKey, agree
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.member_record import (
    LIFETIME_S,
    RECORD_BYTES_MAX,
    SKEW_S,
    MemberRecord,
    compact,
    open_record,
    seal_record,
)
from wgmesh.core.wire.wirefield import REVISION_LIMIT

SECRET = Secret("wgmesh-envelope-compatibility-secret")
NOW = 1_800_000_000.0
EPOCH = epoch_keys(SECRET, hour_of(NOW))
PLACE = compact(Endpoint.parse("198.51.100.7:52527"))
NONCE = bytes(range(12))
PAIR_KEY, ONE = PairKey(bytes(range(32))), PublicKey(bytes(range(32)))

records = st.builds(
    MemberRecord,
    public_keys,
    mesh_ipv4,
    st.integers(int(NOW) - LIFETIME_S, int(NOW) + SKEW_S),
    st.integers(0, REVISION_LIMIT - 1),
    st.lists(endpoints, max_size=8).map(tuple),
    st.lists(endpoints, max_size=8).map(tuple),
    hostnames,
    nat_types,
    st.booleans(),
)


def a_record() -> MemberRecord:
    return MemberRecord(
        PublicKey(bytes(range(32))),
        ipaddress.IPv4Address("10.214.1.2"),
        int(NOW),
        7,
        (Endpoint.parse("198.51.100.7:52527"),),
        (Endpoint.parse("198.51.100.7:40000"), Endpoint.parse("192.168.1.2:51820")),
        "alice",
        "cone",
    )


@given(records)
def test_a_record_is_read_as_it_was_written_as_far_as_it_fits(record: MemberRecord) -> None:
    sealed = seal_record(record, EPOCH.record_key, PLACE, NONCE)
    assert len(sealed) <= RECORD_BYTES_MAX
    opened = open_record(sealed, EPOCH.record_key, PLACE, NOW)
    assert opened.exchanges == record.exchanges[: len(opened.exchanges)]
    assert opened.candidates == record.candidates[: len(opened.candidates)]
    expected = replace(record, exchanges=opened.exchanges, candidates=opened.candidates, hostname=opened.hostname)
    assert opened == expected and record.hostname.startswith(opened.hostname)


def test_an_ordinary_record_loses_nothing() -> None:
    record = a_record()
    assert open_record(seal_record(record, EPOCH.record_key, PLACE, NONCE), EPOCH.record_key, PLACE, NOW) == record


@given(st.data())
def test_no_flipped_bit_of_a_record_goes_unnoticed(data: st.DataObject) -> None:
    sealed = bytearray(seal_record(a_record(), EPOCH.record_key, PLACE, NONCE))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(MalformedMessage):
        open_record(bytes(sealed), EPOCH.record_key, PLACE, NOW)


def test_yesterdays_record_does_not_open_today() -> None:
    yesterday = NOW - 86400
    epoch = epoch_keys(SECRET, hour_of(yesterday))
    sealed = seal_record(replace(a_record(), issued_at=int(yesterday)), epoch.record_key, PLACE, NONCE)
    with pytest.raises(MalformedMessage, match="not sealed"):
        open_record(sealed, EPOCH.record_key, PLACE, NOW)
    with pytest.raises(MalformedMessage, match="issued_at"):
        open_record(sealed, epoch.record_key, PLACE, NOW)  # not even for who still has its key


@pytest.mark.parametrize("issued_at", [int(NOW) - LIFETIME_S - 1, int(NOW) + SKEW_S + 1])
def test_a_record_of_another_time_is_refused(issued_at: int) -> None:
    sealed = seal_record(replace(a_record(), issued_at=issued_at), EPOCH.record_key, PLACE, NONCE)
    with pytest.raises(MalformedMessage, match="issued_at"):
        open_record(sealed, EPOCH.record_key, PLACE, NOW)


def test_a_record_of_a_revision_that_could_not_be_told_on_is_refused() -> None:
    sealed = seal_record(replace(a_record(), revision=REVISION_LIMIT), EPOCH.record_key, PLACE, NONCE)
    with pytest.raises(MalformedMessage, match="rev"):
        open_record(sealed, EPOCH.record_key, PLACE, NOW)


def test_a_record_does_not_open_at_another_place_or_in_another_mesh() -> None:
    sealed = seal_record(a_record(), EPOCH.record_key, PLACE, NONCE)
    with pytest.raises(MalformedMessage):
        open_record(sealed, EPOCH.record_key, compact(Endpoint.parse("198.51.100.8:52527")), NOW)
    other = epoch_keys(Secret("another-secret-of-another-mesh"), EPOCH.hour)
    with pytest.raises(MalformedMessage):
        open_record(sealed, other.record_key, PLACE, NOW)


@given(st.binary(max_size=1000))
def test_garbage_is_no_record(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        open_record(data, EPOCH.record_key, PLACE, NOW)


def test_an_address_is_compact_as_bep_5_writes_it() -> None:
    assert compact(Endpoint.parse("1.2.3.4:258")) == bytes((1, 2, 3, 4, 1, 2))
    assert len(compact(Endpoint.parse("[2001:db8::1]:1"))) == 18


def test_the_infohash_of_an_hour_is_upstreams() -> None:
    assert EPOCH.infohash == network_id_at(SECRET, NOW)
    assert epoch_keys(SECRET, EPOCH.hour).infohash.hex() == "3a63cbc1a2fb8e685d7ee10b187183a925270ffd"


def test_hours_and_meshes_have_nothing_in_common() -> None:
    others = [epoch_keys(SECRET, EPOCH.hour - 1), epoch_keys(Secret("another-secret-of-another-mesh"), EPOCH.hour)]
    for other in others:
        assert not _values(other) & _values(EPOCH)
    assert derive(SECRET).network_id != EPOCH.infohash  # the id that never changes is shown to nobody


def _values(epoch: EpochKeys) -> set[bytes]:
    slot = epoch.pair_slot(PAIR_KEY, ONE)
    seeds = {epoch.place_seed(PLACE), slot.seed, slot.key}
    return seeds | {epoch.infohash, epoch.record_root, epoch.record_key, epoch.directory_key}


def test_the_slot_of_two_members_takes_the_key_that_they_share_and_is_different_for_each_direction() -> None:
    """One who knows the secret and the hour, and holds neither private key, computes another slot."""
    one, two = PrivateKey(bytes(range(32))), PrivateKey(bytes(range(1, 33)))
    third = PrivateKey(bytes(range(2, 34)))
    of_one = EPOCH.pair_slot(agree(one, two.public_key), one.public_key)
    assert of_one == EPOCH.pair_slot(agree(two, one.public_key), one.public_key)
    assert of_one != EPOCH.pair_slot(agree(one, two.public_key), two.public_key)
    for other in (agree(third, one.public_key), agree(third, two.public_key)):
        assert EPOCH.pair_slot(other, one.public_key) != of_one


def test_the_places_of_records_are_what_they_are_on_the_wire() -> None:
    slot = EPOCH.pair_slot(PAIR_KEY, ONE)
    assert EPOCH.place_seed(PLACE).hex() == "28d9c23f2265d3a98d98b616321cc910af756d44e7c33ae186d61984fe509c16"
    assert slot.seed.hex() == "2a5897a0e6e0d25a5905a743a13f3bb1b4c1ff57e3d230466c5682e17ceda9ff"
    assert slot.key.hex() == "218076fd0e5ebcb3f9c0266272093cc472a2b01a743284eed8a41ccbad6b32bf"


def test_each_address_has_an_item_of_its_own() -> None:
    """Of two that one keeps nothing tells that they are of one mesh."""
    other = compact(Endpoint.parse("198.51.100.8:52527"))
    assert EPOCH.place_seed(PLACE) != EPOCH.place_seed(other)


def test_the_names_of_a_directory_are_all_different_and_slots_are_few() -> None:
    keys = [PublicKey(bytes([number]) * 32) for number in range(100)]
    names = {EPOCH.member_name(key) for key in keys} | {EPOCH.roster_name(slot) for slot in range(ROSTER_SLOTS)}
    assert len(names) == 100 + ROSTER_SLOTS
    assert {EPOCH.roster_slot(key) for key in keys} == set(range(ROSTER_SLOTS))


def test_nothing_secret_is_shown() -> None:
    assert "record" not in repr(EPOCH) and EPOCH.record_key.hex() not in repr(EPOCH)
    assert repr(EPOCH.pair_slot(PAIR_KEY, ONE)) == "PairSlot()"
