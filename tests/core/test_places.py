"""Places at a server: a newcomer is always served, and who holds most makes room."""

from __future__ import annotations

import gc
import ipaddress
import weakref

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import IPAddress
from wgmesh.core.places import Places

MEMBER, GO_NODE, NEWCOMER = (ipaddress.ip_address(f"10.77.0.{number}") for number in (1, 2, 3))
MEMBER_IPV6 = ipaddress.ip_address("fd00::1")


PLACES_MAX, PLACES_OF_SOURCE_MAX = 512, 4


def places(places_max: int = PLACES_MAX) -> Places[int, IPAddress]:
    return Places(places_max, PLACES_OF_SOURCE_MAX)


def peer(number: int) -> IPAddress:
    return ipaddress.ip_address("10.78.0.0") + number


def test_one_member_with_512_connections_keeps_four_and_nobody_else_loses_its_own() -> None:
    held = places()
    assert held.admit(-1, GO_NODE) is None
    held.earn(-1)

    left = [held.admit(number, MEMBER) for number in range(512)]

    assert left == [None] * PLACES_OF_SOURCE_MAX + [*range(512 - PLACES_OF_SOURCE_MAX)]
    assert len(held) == PLACES_OF_SOURCE_MAX + 1


def test_of_one_source_who_earned_nothing_goes_before_who_did_and_that_by_its_last_time() -> None:
    held = places()
    for number in range(PLACES_OF_SOURCE_MAX):
        held.admit(number, MEMBER)
    for number in (0, 1, 3, 0):
        held.earn(number)

    assert held.admit(10, MEMBER) == 2
    held.earn(10)
    assert held.admit(11, MEMBER) == 1


def test_a_full_server_takes_from_the_source_with_most_places_and_admits_the_newcomer() -> None:
    held = places(places_max=5)
    held.admit(0, GO_NODE)  # the oldest and never heard: still it has one place only
    for number in range(1, 5):
        held.admit(number, MEMBER)
        held.earn(number)

    assert held.admit(5, NEWCOMER) == 1
    assert len(held) == 5


def test_where_all_have_one_place_the_one_that_was_silent_for_longest_goes() -> None:
    held = places()
    for number in range(PLACES_MAX):
        held.admit(number, peer(number))
    for number in (77, *range(77), *range(78, PLACES_MAX)):
        held.earn(number)

    assert held.admit(1000, NEWCOMER) == 77


def test_every_address_is_a_source_and_who_left_counts_no_more() -> None:
    held = places()
    for number in range(PLACES_OF_SOURCE_MAX):
        held.admit(number, MEMBER)
    assert held.admit(10, MEMBER_IPV6) is None

    held.leave(0)
    held.leave(0)
    assert held.admit(11, MEMBER) is None


def test_a_source_without_a_place_is_not_remembered() -> None:
    class Source:
        pass

    held: Places[int, Source] = Places(8, 2)
    source = Source()
    held.admit(1, source)
    held.admit(2, source)
    remembered = weakref.ref(source)
    del source

    held.leave(1)
    assert remembered() is not None
    held.leave(2)
    gc.collect()
    assert remembered() is None


def test_all_that_have_a_place_can_be_gone_through_and_who_left_earns_nothing() -> None:
    held = places()
    held.admit(1, MEMBER)
    held.admit(2, GO_NODE)
    held.leave(1)

    held.earn(1)

    assert [*held] == [2]
    held.earn(2)
    held.admit(3, MEMBER)
    assert [*held] == [3, 2], "the least deserving first"


@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=100))
def test_no_number_is_ever_exceeded_and_a_newcomer_is_never_the_one_to_go(arrivals: list[tuple[int, bool]]) -> None:
    held = places(places_max=6)
    open_now: dict[int, int] = {}
    for holder, (source, pings) in enumerate(arrivals):
        leaving = held.admit(holder, peer(source))
        open_now[holder] = source
        if leaving is not None:
            del open_now[leaving]
        if pings:
            held.earn(holder)

        assert holder in open_now
        assert len(held) == len(open_now) <= 6
        assert all([*open_now.values()].count(each) <= PLACES_OF_SOURCE_MAX for each in range(8))
