"""When the Mainline DHT is asked, for what, and what is never asked of it."""

from __future__ import annotations

import itertools
import random

import pytest
from support.discovery.discovery_wire import SECRET
from wgmesh.core.clock import WallClock
from wgmesh.core.keys.keyschedule import derive, network_id_at
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.member_record import compact
from wgmesh.discovery.dht import Announce, LookUp
from wgmesh.discovery.dht_schedule import FAST_FOR_S, LOOK_CONTENT_S, LOOK_S, STORE_S, Publish
from wgmesh.discovery.mainline.schedule import (
    ANNOUNCE_S,
    FETCHES_MAX,
    LAST_HOUR_S,
    LOOK_FAST_S,
    RETRY_FIRST_S,
    Fetch,
    MainlineSchedule,
    Request,
)

HOUR = 3600.0
KEPT_S = 1800.0  # a DHT keeps an announce for half an hour
START = 1_800_000_000.0  # the first second of an hour
OWN = Endpoint.parse("198.51.100.7:52527")
OTHER = Endpoint.parse("203.0.113.9:52527")
NOW_ID, LAST_ID = network_id_at(SECRET, START), network_id_at(SECRET, START - HOUR)


class Timeline:
    """Runs a plan through time and keeps what it asks, each with its time."""

    def __init__(self, start: float = START + 600) -> None:
        self.wall = WallClock()
        self.plan = MainlineSchedule(self.wall, SECRET, random.Random(1).random)
        self.now = start
        self.asked: list[tuple[float, Request]] = []
        self.proven_count = 0
        self.answers_own = True
        self.plan.set_own_hosts([OWN.host], start)
        self.plan.start(OWN.port, start)

    def run(self, span_s: float) -> list[tuple[float, Request]]:
        end, first = self.now + span_s, len(self.asked)
        while (at := self.plan.poll_timeout()) is not None and at <= end:
            self.now = max(self.now, at)
            for request in self.plan.due(self.now, self.proven_count):
                self.asked.append((self.now, request))
                if isinstance(request, Announce) and self.answers_own:
                    self.plan.found(request.infohash, [OWN], self.now)
        self.now = end
        return self.asked[first:]

    def times(self, kind: type) -> list[float]:
        return [at for at, request in self.asked if isinstance(request, kind)]


def test_both_hours_are_announced_and_looked_up_at_once() -> None:
    timeline = Timeline()
    first = [request for _, request in timeline.run(0.0)]
    announced = [(each.infohash, each.port) for each in first if isinstance(each, Announce)]
    assert announced == [(NOW_ID, OWN.port), (LAST_ID, OWN.port)]
    assert [each.infohash for each in first if isinstance(each, LookUp)] == [NOW_ID, LAST_ID]


def test_the_id_that_never_changes_is_never_asked_for() -> None:
    timeline = Timeline()
    timeline.run(6 * HOUR)
    hashes = {each.infohash for _, each in timeline.asked if isinstance(each, Announce | LookUp)}
    assert len(hashes) == 8  # of this hour, the last, and the six that came
    assert derive(SECRET).network_id not in hashes


def test_look_ups_are_fast_until_somebody_is_found_and_seldom_once_the_mesh_is_whole() -> None:
    timeline = Timeline()
    timeline.run(FAST_FOR_S)
    assert len(set(timeline.times(LookUp))) >= FAST_FOR_S / LOOK_FAST_S
    timeline.asked.clear()
    timeline.run(300.0)
    assert len(set(timeline.times(LookUp))) <= 300.0 / LOOK_S + 1
    timeline.proven_count = 5
    timeline.run(300.0)
    timeline.asked.clear()
    timeline.run(3000.0)
    assert len(set(timeline.times(LookUp))) <= 3000.0 / LOOK_CONTENT_S + 1


def test_the_first_peer_ends_the_haste() -> None:
    timeline = Timeline()
    timeline.run(3.0)
    timeline.plan.found_count = 1
    timeline.run(LOOK_FAST_S)
    timeline.asked.clear()
    timeline.run(60.0)
    assert len(set(timeline.times(LookUp))) <= 3


def test_an_announce_that_is_confirmed_is_renewed_after_a_quarter_of_an_hour() -> None:
    timeline = Timeline()
    timeline.run(2000.0)
    times = sorted(set(timeline.times(Announce)))
    assert times[0] == START + 600
    assert all(after - before >= 0.9 * ANNOUNCE_S for before, after in zip(times[::2], times[2::2], strict=False))
    assert len(timeline.times(Announce)) <= 6


def test_an_announce_that_nobody_confirms_is_repeated_within_a_minute() -> None:
    timeline = Timeline()
    timeline.answers_own = False
    timeline.run(600.0)
    times = sorted(set(timeline.times(Announce)))
    assert times[1] - times[0] < 6.0
    assert all(after - before <= 75.0 for before, after in itertools.pairwise(times))


def test_a_swarm_that_comes_late_is_told_at_once() -> None:
    timeline = Timeline()
    timeline.answers_own = False
    timeline.run(600.0)
    timeline.asked.clear()
    timeline.plan.swarm_reached(timeline.now)
    assert {type(each) for _, each in timeline.run(0.0)} == {Announce, LookUp}


@pytest.mark.parametrize("back_s", [0.5 * HOUR, HOUR])
def test_an_hour_that_seemed_to_be_over_is_announced_again_when_the_clock_is_set_back(back_s: float) -> None:
    timeline = Timeline(START + LAST_HOUR_S + 60.0)
    timeline.run(30.0)
    began_with = {each.infohash for _, each in timeline.asked if isinstance(each, Announce)}
    assert began_with == {NOW_ID}, "of the last hour nothing is to be said any more"
    timeline.asked.clear()

    timeline.wall.set(-back_s)
    timeline.plan.clock_set(timeline.now)
    timeline.run(RETRY_FIRST_S)

    assert LAST_ID in {each.infohash for _, each in timeline.asked if isinstance(each, Announce)}


def test_a_clock_that_is_set_to_and_fro_makes_no_flood_of_announces() -> None:
    timeline = Timeline(START + LAST_HOUR_S + 60.0)
    for second in range(60):
        timeline.wall.set(-900.0 if second % 2 else 0.0)
        timeline.plan.clock_set(timeline.now)
        timeline.run(1.0)
    assert len(timeline.times(Announce)) <= 2 + 60.0 / RETRY_FIRST_S
    assert len(set(timeline.times(LookUp))) <= 1 + 60.0 / LOOK_FAST_S


def test_after_the_hour_the_new_id_is_announced_within_a_minute_and_not_by_all_at_once() -> None:
    times = []
    for seed in range(20):
        plan = MainlineSchedule(WallClock(), SECRET, random.Random(seed).random)
        plan.set_own_hosts([OWN.host], START + 3000)
        plan.start(OWN.port, START + 3000)
        plan.due(START + 3000, 0)
        now = START + HOUR
        new_id = network_id_at(SECRET, now)
        while not any(isinstance(each, Announce) and each.infohash == new_id for each in plan.due(now, 0)):
            now += 1.0
        times.append(now - START - HOUR)
    assert max(times) <= 61.0 and len(set(times)) > 10


def test_the_ids_of_this_hour_and_the_last_are_looked_up_across_the_change() -> None:
    timeline = Timeline(START + HOUR - 5)
    timeline.run(10.0)
    late = {each.infohash for at, each in timeline.asked if isinstance(each, LookUp) and at > START + HOUR}
    assert late == {network_id_at(SECRET, START + HOUR), NOW_ID}


def test_what_is_found_is_handed_on_without_ourselves_and_what_is_over_is_not() -> None:
    timeline = Timeline()
    timeline.run(0.0)
    assert timeline.plan.found(NOW_ID, [OWN, OTHER], timeline.now) == [OTHER]
    assert timeline.plan.found(b"x" * 20, [OTHER], timeline.now) == []
    neighbour = Endpoint(OWN.host, OWN.port + 1)  # behind the same address
    assert timeline.plan.found(NOW_ID, [neighbour], timeline.now) == [neighbour]


def test_a_record_is_published_where_the_dht_sees_us_for_both_hours_and_renewed() -> None:
    timeline = Timeline()
    timeline.run(1.0)
    published = [each for _, each in timeline.asked if isinstance(each, Publish)]
    assert {(each.epoch.infohash, each.place) for each in published} == {
        (NOW_ID, compact(OWN)),
        (LAST_ID, compact(OWN)),
    }
    timeline.asked.clear()
    timeline.run(STORE_S - 10.0)
    assert timeline.times(Publish) == []
    timeline.run(20.0)
    assert len(timeline.times(Publish)) == 1


def test_nothing_is_announced_or_published_under_the_last_hour_once_nobody_looks_there_alone() -> None:
    """Whose clock is right within ten minutes looks up this hour's id by then: a second place only ties the two."""
    timeline = Timeline(START + LAST_HOUR_S - 1)
    early = [request for _, request in timeline.run(0.5)]
    assert {each.infohash for each in early if isinstance(each, Announce)} == {NOW_ID, LAST_ID}
    timeline.asked.clear()
    timeline.run(1.0)
    timeline.plan.swarm_reached(timeline.now)
    timeline.plan.set_own_hosts([OWN.host, OTHER.host], timeline.now)
    timeline.plan.revise(timeline.now)
    timeline.run(HOUR - LAST_HOUR_S - 10)
    assert {each.infohash for _, each in timeline.asked if isinstance(each, Announce)} == {NOW_ID}
    assert {each.epoch.infohash for _, each in timeline.asked if isinstance(each, Publish)} == {NOW_ID}
    assert {each.infohash for _, each in timeline.asked if isinstance(each, LookUp)} == {NOW_ID, LAST_ID}


def test_one_whose_clock_is_slow_by_ten_minutes_finds_us_at_every_second_of_the_hour() -> None:
    timeline = Timeline(START)
    timeline.run(3 * HOUR)
    for second in range(3 * 3600 - 600):
        at = START + 600 + second
        sought = {network_id_at(SECRET, at - 600), network_id_at(SECRET, at - 600 - HOUR)}
        kept = {
            each.infohash
            for announced_at, each in timeline.asked
            if isinstance(each, Announce) and at - KEPT_S < announced_at <= at
        }
        assert kept & sought, second


def test_news_of_ours_is_published_within_seconds_and_not_at_every_change() -> None:
    timeline = Timeline()
    timeline.run(60.0)
    timeline.asked.clear()
    for _ in range(10):
        timeline.plan.revise(timeline.now)
        timeline.run(1.0)
    timeline.run(15.0)
    assert 2 <= len(timeline.times(Publish)) <= 6


def test_records_are_fetched_few_at_a_time_and_each_once_in_a_while() -> None:
    timeline = Timeline()
    timeline.run(0.0)
    addresses = [Endpoint.parse(f"203.0.113.{number}:1") for number in range(1, 60)]
    for address in addresses:
        timeline.plan.want_record(address, timeline.now)
    fetched = [each.address for _, each in timeline.run(0.0) if isinstance(each, Fetch)]
    assert len(set(fetched)) == FETCHES_MAX
    timeline.plan.fetched(addresses[0])
    timeline.run(0.0)
    assert len({each.address for _, each in timeline.asked if isinstance(each, Fetch)}) == FETCHES_MAX + 1
    timeline.run(600.0)
    timeline.asked.clear()
    timeline.plan.want_record(addresses[0], timeline.now)
    timeline.plan.want_record(addresses[0], timeline.now)
    timeline.run(0.0)
    assert len({each.address for _, each in timeline.asked if isinstance(each, Fetch)}) == 1


def test_another_port_is_announced_at_once_and_the_old_place_is_left() -> None:
    timeline = Timeline()
    timeline.run(10.0)
    assert timeline.plan.own_places == (OWN,)
    timeline.asked.clear()
    timeline.plan.start(40000, timeline.now)
    announced = [each.port for _, each in timeline.run(0.0) if isinstance(each, Announce)]
    assert announced == [40000, 40000]
    assert not timeline.plan.own_places
