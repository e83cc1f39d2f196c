"""Members that find each other through records in a private DHT, and values that must not be kept."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from support.discovery.discovery_wire import SECRET, START, Node, Swarm, Wire, describe
from wgmesh.core.clock import WallClock
from wgmesh.core.keys.epoch_keys import ROSTER_SLOTS, EpochKeys, epoch_keys
from wgmesh.core.keys.keyschedule import hour_of
from wgmesh.core.model import Endpoint, LayerState, PublicKey
from wgmesh.core.wire.member_record import MemberRecord, seal_record
from wgmesh.core.wire.wirefield import REVISION_LIMIT
from wgmesh.discovery.dht import NodesCounted, ReadRecord, RecordsRead
from wgmesh.discovery.dht_schedule import FAST_FOR_S, LOOK_CONTENT_S, LOOK_S, STORE_S, Publish
from wgmesh.discovery.private_dht.schedule import MISSED_MAX, READ_FAST_S, SLOTS_AT_A_TIME, PrivateDhtSchedule

OWN = describe(1).public_key
EPOCH = epoch_keys(SECRET, hour_of(START))


def epoch(hour: int) -> EpochKeys:
    return epoch_keys(SECRET, hour)


def run(
    plan: PrivateDhtSchedule, now: float, span_s: float, proven: int = 0, missed: Sequence[PublicKey] = ()
) -> list[tuple[float, Publish | ReadRecord]]:
    asked: list[tuple[float, Publish | ReadRecord]] = []
    while (at := plan.poll_timeout()) is not None and at <= now + span_s:
        asked += [(max(at, now), each) for each in plan.due(max(at, now), OWN, proven, missed)]
    return asked


def test_our_record_is_stored_under_our_name_and_in_the_roster_for_both_hours() -> None:
    plan = PrivateDhtSchedule(WallClock(), SECRET, random.Random(1).random)
    plan.start(START + 60)
    stored = [each for _, each in run(plan, START + 60, 0.0) if isinstance(each, Publish)]
    last = epoch(EPOCH.hour - 1)
    assert {each.place for each in stored} == {each.member_name(OWN) for each in (EPOCH, last)} | {
        each.roster_name(each.roster_slot(OWN)) for each in (EPOCH, last)
    }
    later = [at for at, each in run(plan, START + 61, 2 * STORE_S + 5) if isinstance(each, Publish)]
    assert later and min(later) >= START + 60 + STORE_S - 5


def test_the_roster_is_read_fast_until_somebody_is_found() -> None:
    plan = PrivateDhtSchedule(WallClock(), SECRET, random.Random(1).random)
    plan.start(START + 60)
    reads = [at for at, each in run(plan, START + 60, FAST_FOR_S) if isinstance(each, ReadRecord)]
    assert len(set(reads)) >= FAST_FOR_S / READ_FAST_S
    assert len(reads) == len(set(reads)) * 2 * ROSTER_SLOTS
    run(plan, START + 120, LOOK_CONTENT_S, proven=5)
    content = [
        at for at, each in run(plan, START + 120 + LOOK_CONTENT_S, 1200.0, proven=5) if isinstance(each, ReadRecord)
    ]
    assert len(set(content)) <= 1200.0 / LOOK_CONTENT_S + 1
    assert len(content) == len(set(content)) * SLOTS_AT_A_TIME


def test_who_knows_somebody_reads_the_whole_roster_by_and_by() -> None:
    plan = PrivateDhtSchedule(WallClock(), SECRET, random.Random(1).random)
    plan.start(START + 60)
    reads = {
        each.name if isinstance(each, ReadRecord) else each.place
        for _, each in run(plan, START + 60, LOOK_S * ROSTER_SLOTS / SLOTS_AT_A_TIME, proven=1)
    }
    assert reads >= {EPOCH.roster_name(slot) for slot in range(ROSTER_SLOTS)}


def test_members_that_cannot_be_reached_are_looked_for_few_at_a_time_and_all_in_turn() -> None:
    plan = PrivateDhtSchedule(WallClock(), SECRET, random.Random(1).random)
    plan.start(START + 60)
    missed = [describe(number).public_key for number in range(2, 32)]
    roster = {each.roster_name(slot) for each in (EPOCH, epoch(EPOCH.hour - 1)) for slot in range(ROSTER_SLOTS)}
    looks = [(at, each.name) for at, each in run(plan, START + 60, 301.0, 5, missed) if isinstance(each, ReadRecord)]
    named = [(at, name) for at, name in looks if name not in roster]
    assert {name for _, name in named} == {EPOCH.member_name(key) for key in missed}
    assert max(sum(other == at for other, _ in named) for at, _ in named) <= MISSED_MAX


def add(wire: Wire, host: str) -> Node:
    node = wire.add(host, lan=False, private_dht=True)
    node.core.handle_dht(NodesCounted(3, 52528), wire.now)
    wire.settle()
    return node


def test_members_in_different_networks_find_each_other_through_the_roster() -> None:
    wire = Wire()
    wire.swarm = Swarm()
    one, two, three = (add(wire, host) for host in ("198.51.100.1", "203.0.113.2", "192.0.2.3"))
    wire.advance(5.0)
    keys = {one.key, two.key, three.key}
    for node in (one, two, three):
        assert set(node.peers()) == keys - {node.key}
    state, detail = next((each.state, each.detail) for each in one.core.snapshot().layers if each.name == "dht")
    assert state is LayerState.RUNNING and "private" in detail and "3 nodes" in detail


def test_a_member_keeps_only_what_is_newer_true_and_in_its_place() -> None:
    wire = Wire()
    wire.swarm = Swarm()
    one = add(wire, "198.51.100.1")
    key = describe(7).public_key
    place, slot = EPOCH.member_name(key), EPOCH.roster_name(EPOCH.roster_slot(key))
    record = MemberRecord(key, describe(7).mesh_ipv4, int(wire.now), 5, (Endpoint.parse("192.0.2.7:52527"),))

    def sealed(of: MemberRecord, at: bytes, with_key: bytes = EPOCH.record_key) -> bytes:
        return seal_record(of, with_key, at, bytes(12))

    newer, older = replace(record, revision=6), replace(record, revision=4)
    judge = one.core.judge_record
    assert judge(place, None, sealed(record, place), wire.now)
    assert judge(slot, None, sealed(record, slot), wire.now)
    assert judge(place, sealed(record, place), sealed(newer, place), wire.now)
    assert not judge(place, sealed(record, place), sealed(older, place), wire.now)
    assert not judge(place, None, sealed(record, slot), wire.now)  # sealed for another place
    other = EPOCH.member_name(describe(8).public_key)
    assert not judge(other, None, sealed(record, other), wire.now)  # of one member under another's name
    assert not judge(place, None, sealed(record, place, bytes(32)), wire.now)  # a stranger's
    assert not judge(place, None, b"garbage", wire.now)
    assert judge(place, b"garbage", sealed(record, place), wire.now)
    stale = replace(record, issued_at=int(wire.now) - 3 * 3600)
    assert not judge(place, None, sealed(stale, place), wire.now)


def test_of_several_values_the_newest_counts_and_garbage_harms_nothing() -> None:
    wire = Wire()
    one = add(wire, "198.51.100.1")
    key = describe(7).public_key
    place = EPOCH.member_name(key)
    record = MemberRecord(key, describe(7).mesh_ipv4, int(wire.now), 5, hostname="old")
    newer = replace(record, revision=6, hostname="new")
    values = [seal_record(each, EPOCH.record_key, place, bytes(12)) for each in (record, newer)]
    one.core.handle_dht(RecordsRead(place, (b"", b"x" * 900, *values)), wire.now)
    assert one.peers()[key].hostname == "new"


def test_a_forged_record_with_the_highest_revision_takes_no_address_away_from_the_true_one() -> None:
    wire = Wire()
    one = add(wire, "198.51.100.1")
    key = describe(7).public_key
    place = EPOCH.member_name(key)
    where = (Endpoint.parse("192.0.2.7:52527"),)
    candidates = tuple(Endpoint.parse(f"192.0.2.7:{port}") for port in (51820, 51821, 51822))
    true = MemberRecord(key, describe(7).mesh_ipv4, int(wire.now), 5, where, candidates, hostname="seven")
    lie = replace(true, revision=REVISION_LIMIT - 1, exchanges=(Endpoint.parse("192.0.2.66:52527"),))
    values = tuple(seal_record(each, EPOCH.record_key, place, bytes(12)) for each in (true, lie))
    one.core.handle_dht(RecordsRead(place, values), wire.now)
    wire.advance(10.0)
    assert {"192.0.2.7", "192.0.2.66"} <= {str(each.to.host) for each in one.sent}
