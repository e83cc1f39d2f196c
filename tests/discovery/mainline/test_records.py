"""What counts as the record that was looked up."""

from __future__ import annotations

import random

from support.discovery.discovery_wire import SECRET, START, describe
from support.discovery.pairing import agreements
from wgmesh.core.keys.epoch_keys import PairSlot, epoch_keys
from wgmesh.core.keys.keyschedule import hour_of
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.member_record import MemberRecord, compact, seal_record
from wgmesh.discovery.dht import PutItem
from wgmesh.discovery.mainline.records import SOUGHT_MAX, Records, item_key

EPOCH = epoch_keys(SECRET, hour_of(START))
ONE, TWO, THREE = (describe(number) for number in (1, 2, 3))
RECORD = MemberRecord(ONE.public_key, ONE.mesh_ipv4, int(START), 1, (Endpoint.parse("192.0.2.1:52527"),))
ADDRESS = Endpoint.parse("192.0.2.1:52527")


def records() -> Records:
    return Records(random.Random(1).randbytes)


def slot_of(writer: int, reader: int) -> PairSlot:
    """Where one member writes for another."""
    (agreement,) = agreements(describe(writer).public_key, [describe(reader).public_key])
    assert agreement.pair_key is not None
    return EPOCH.pair_slot(agreement.pair_key, describe(writer).public_key)


def opened(sought: Records, put: PutItem, at_key: bytes) -> MemberRecord | None:
    """What a reader makes of a value that it is shown under the key that it asked for."""
    return sought.open(at_key, put.value, START)


def test_what_a_member_puts_for_another_is_read_by_that_one() -> None:
    reader = records()
    request = reader.seek_of(slot_of(1, 2), ONE.public_key)
    put = records().put_for(slot_of(1, 2), RECORD, describe(2).public_key)
    assert item_key(put.seed) == request.public_key
    assert opened(reader, put, request.public_key) == RECORD


def test_a_value_from_any_other_place_is_nothing_although_the_dht_shows_it_where_we_look() -> None:
    """Should a node of the DHT not check signatures: the seal tells as well."""
    reader = records()
    request = reader.seek_of(slot_of(1, 2), ONE.public_key)
    place = compact(ADDRESS)
    forgeries = [
        records().put_for(slot_of(3, 2), RECORD, describe(2).public_key),  # a third member's, in the name of the first
        records().put_for(slot_of(3, 1), RECORD, describe(1).public_key),
        records().put_at(EPOCH, place, RECORD),
    ]
    assert all(opened(reader, each, request.public_key) is None for each in forgeries)


def test_the_other_of_two_cannot_write_in_the_name_of_a_third() -> None:
    """It holds the key of the slot; what lies there is what its writer says of itself, and no more."""
    reader = records()
    request = reader.seek_of(slot_of(3, 2), THREE.public_key)
    value = seal_record(RECORD, slot_of(3, 2).key, THREE.public_key.raw, bytes(12))
    assert reader.open(request.public_key, value, START) is None


def test_an_item_does_not_show_the_address_that_it_is_of() -> None:
    put = records().put_at(EPOCH, compact(ADDRESS), RECORD)
    assert put.salt == b"" and compact(ADDRESS) not in put.value


def test_look_ups_that_never_end_have_a_bound() -> None:
    reader = records()
    requests = [reader.seek_at(EPOCH, Endpoint(ADDRESS.host, port)) for port in range(1, SOUGHT_MAX + 2)]
    assert reader.sought(requests[0].public_key) is None
    assert reader.sought(requests[1].public_key) is not None
