"""What the schedules of both DHTs have in common."""

from __future__ import annotations

import random

import pytest
from support.discovery.discovery_wire import SECRET, START
from wgmesh.core.clock import WallClock
from wgmesh.core.keys.epoch_keys import HOUR_S, epoch_keys
from wgmesh.core.keys.keyschedule import hour_of
from wgmesh.discovery.dht_schedule import (
    AFTER_THE_HOUR_S,
    CLOCK_GAP_S,
    FAST_FOR_S,
    LOOK_CONTENT_S,
    LOOK_S,
    LOOK_SETTLED_S,
    SETTLED_PEERS,
    STORE_GAP_S,
    STORE_S,
    Hours,
    LookUps,
    Renewal,
)

HOUR = hour_of(START)
FAST_S = 2.0


def test_the_keys_are_those_of_this_hour_and_the_last() -> None:
    hours = Hours(WallClock(), SECRET, random.Random(1).random)
    assert hours.keys(START + HOUR_S - 0.1) == (epoch_keys(SECRET, HOUR), epoch_keys(SECRET, HOUR - 1))
    assert hours.keys(START + HOUR_S) == (epoch_keys(SECRET, HOUR + 1), epoch_keys(SECRET, HOUR))


def test_who_begins_speaks_at_once_and_in_each_new_hour_within_a_minute_and_not_with_all_others() -> None:
    times = []
    for seed in range(20):
        hours = Hours(WallClock(), SECRET, random.Random(seed).random)
        assert hours.next_at() < START and hours.turn(START + 5) == START + 5
        assert hours.next_at() == START + HOUR_S
        assert hours.turn(START + HOUR_S - 0.1) is None
        at = hours.turn(START + HOUR_S)
        assert at is not None and hours.turn(START + HOUR_S + 1) is None
        times.append(at - START - HOUR_S)
    assert min(times) >= 0.0 and AFTER_THE_HOUR_S / 2 < max(times) <= AFTER_THE_HOUR_S and len(set(times)) == 20


def test_the_hours_are_those_of_the_clock_as_it_stands() -> None:
    wall = WallClock(1800.0)
    hours = Hours(wall, SECRET, random.Random(1).random)
    hours.turn(START)
    assert hours.next_at() == START + HOUR_S - 1800.0
    assert hours.keys(START + 1800.0) == (epoch_keys(SECRET, HOUR + 1), epoch_keys(SECRET, HOUR))
    assert hours.over_for_s(epoch_keys(SECRET, HOUR), START + 1801.0) == 1.0
    wall.set(-HOUR_S)
    assert hours.keys(START) == (epoch_keys(SECRET, HOUR - 1), epoch_keys(SECRET, HOUR - 2))
    assert hours.turn(START) == START, "an hour that had not yet come for others is spoken of at once"
    assert hours.next_at() == START + HOUR_S


def test_a_clock_that_is_set_makes_a_look_due_and_one_that_is_set_again_and_again_not_each_time() -> None:
    look_ups = LookUps(FAST_S)
    look_ups.clock_set(START)
    assert look_ups.next_at is None
    look_ups.start(START)
    later = START + 2 * LOOK_CONTENT_S
    assert look_ups.are_due(later, SETTLED_PEERS)
    look_ups.clock_set(later + CLOCK_GAP_S)
    assert look_ups.are_due(later + CLOCK_GAP_S, SETTLED_PEERS)
    for after_s in (1.0, 2.0, 3.0):
        look_ups.clock_set(later + CLOCK_GAP_S + after_s)
        assert look_ups.next_at == later + 2 * CLOCK_GAP_S


def test_one_that_has_slept_for_hours_speaks_at_once() -> None:
    hours = Hours(WallClock(), SECRET, random.Random(1).random)
    hours.turn(START)
    assert hours.turn(START + 3 * HOUR_S) == START + 3 * HOUR_S


@pytest.mark.parametrize(
    ("age_s", "proven_count", "has_found", "pause_s"),
    [
        (0.0, 0, False, FAST_S),
        (FAST_FOR_S - 1, 0, False, FAST_S),
        (FAST_FOR_S, 0, False, LOOK_S),
        (1.0, 0, True, LOOK_S),
        (1.0, 1, False, LOOK_S),
        (1.0, SETTLED_PEERS, False, LOOK_SETTLED_S),
        (LOOK_CONTENT_S, SETTLED_PEERS - 1, True, LOOK_SETTLED_S),
        (LOOK_CONTENT_S, SETTLED_PEERS, True, LOOK_SETTLED_S),
        (LOOK_CONTENT_S + 1, SETTLED_PEERS, True, LOOK_CONTENT_S),
        (10 * HOUR_S, 0, True, LOOK_S),
    ],
)
def test_look_ups_are_fast_while_nobody_is_found_and_seldom_in_a_mesh_that_works(
    age_s: float, proven_count: int, has_found: bool, pause_s: float
) -> None:
    look_ups = LookUps(FAST_S)
    look_ups.start(START)
    assert look_ups.are_due(START + age_s, proven_count, has_found)
    assert look_ups.next_at == START + age_s + pause_s
    assert not look_ups.are_due(START + age_s + pause_s - 0.1, proven_count, has_found)


def test_nothing_is_looked_for_before_the_start_and_at_once_where_there_are_nodes_to_ask_at_last() -> None:
    look_ups = LookUps(FAST_S)
    look_ups.hasten(START)
    assert look_ups.next_at is None and not look_ups.are_due(START, 0)
    look_ups.start(START)
    assert look_ups.are_due(START, 0) and look_ups.next_at == START + FAST_S, "nobody is said to have answered"
    look_ups.hasten(START)
    assert look_ups.are_due(START, 1) and not look_ups.are_due(START + 1, 1)
    look_ups.start(START + 1)  # it has started already
    assert not look_ups.are_due(START + 1, 1)
    look_ups.hasten(START + 1)
    assert look_ups.are_due(START + 1, 1)


def test_a_record_is_stored_at_once_and_each_half_hour() -> None:
    record = Renewal()
    assert record.is_due(START) and record.stored_at == START
    assert not record.is_due(START + STORE_S - 1) and record.is_due(START + STORE_S)


def test_news_is_stored_at_once_and_not_at_every_change() -> None:
    record = Renewal()
    record.revise(START)
    assert record.is_due(START)
    record.revise(START + 1)
    assert not record.is_due(START + STORE_GAP_S - 1) and record.is_due(START + STORE_GAP_S)
    record.revise(START + 100)
    assert record.is_due(START + 100)
