"""The purses of hosts that have never answered."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import IPAddress
from wgmesh.discovery.exchange.unanswered import (
    AMPLIFICATION,
    DATAGRAMS_FOR_ONE,
    FIRST_PAUSE_S,
    FREE_S,
    LAST_PAUSE_S,
    SAVED_BYTES_MAX,
    SAVED_DATAGRAMS_MAX,
    TOTAL_BURST,
    TOTAL_RATE,
    Unanswered,
)

NOW = 1000.0
HOST, OTHER = ipaddress.ip_address("198.51.100.1"), ipaddress.ip_address("198.51.100.2")


def hosts(count: int) -> list[IPAddress]:
    return [ipaddress.IPv4Address(0x0B000000 + number) for number in range(count)]


def test_nothing_is_sent_to_a_host_for_whose_sake_nothing_came() -> None:
    assert not Unanswered().admits(HOST, 1, NOW) and not Unanswered().admits_question(HOST, 1, NOW)


def test_what_came_for_a_host_pays_for_less_than_three_times_as_much_and_for_two_datagrams() -> None:
    purses = Unanswered()
    purses.earn(HOST, 400)
    assert not purses.admits(HOST, AMPLIFICATION * 400, NOW) and purses.room(HOST, NOW) == AMPLIFICATION * 400 - 1
    assert [purses.admits(HOST, 300, NOW) for _ in range(3)] == [True] * DATAGRAMS_FOR_ONE + [False]
    assert not purses.admits(OTHER, 1, NOW)


def test_not_more_is_saved_up_than_a_node_that_repeats_itself_is_worth() -> None:
    purses = Unanswered()
    for _ in range(1000):
        purses.earn(HOST, 1200)
    assert purses.room(HOST, NOW) == SAVED_BYTES_MAX
    assert sum(purses.admits(HOST, 1, NOW) for _ in range(1000)) == SAVED_DATAGRAMS_MAX


def test_who_has_answered_is_free_for_hours_and_then_a_stranger_again() -> None:
    purses = Unanswered()
    purses.answered(HOST, NOW)
    assert purses.admits(HOST, 10**6, NOW + FREE_S - 1) and purses.admits_question(HOST, 10**6, NOW + FREE_S - 1)
    assert not purses.admits(HOST, 1, NOW + FREE_S) and not purses.admits(OTHER, 1, NOW)


def test_all_addresses_of_an_ipv6_network_share_a_purse() -> None:
    purses = Unanswered()
    purses.earn(ipaddress.ip_address("2001:db8::1"), 400)
    assert purses.room(ipaddress.ip_address("2001:db8::2"), NOW) > 0
    assert purses.room(ipaddress.ip_address("2001:db8:0:1::1"), NOW) == 0


def test_addresses_of_our_own_have_rounds_of_two_with_pauses_that_double() -> None:
    purses, rounds = Unanswered(), []
    for second in range(3600):
        purses.begin_round(HOST, 500, NOW + second)
        sent = sum(purses.admits(HOST, 500, NOW + second) for _ in range(5))
        rounds += [(second, sent)] if sent else []
    first = int(FIRST_PAUSE_S)
    assert rounds[:4] == [(0, 2), (first, 2), (3 * first, 2), (7 * first, 2)]
    assert max(later - earlier for (earlier, _), (later, _) in pairwise(rounds)) == LAST_PAUSE_S


def test_who_names_thousands_does_not_shorten_the_pause_of_a_host() -> None:
    """The purse of a host is forgotten when many others are named; its pause is another memory."""
    purses = Unanswered(hosts_max=10)
    purses.begin_round(HOST, 500, NOW)
    for host in hosts(100):
        purses.earn(host, 400)
    assert not purses.admits(HOST, 500, NOW)
    purses.begin_round(HOST, 500, NOW + FIRST_PAUSE_S - 1)
    assert not purses.admits(HOST, 500, NOW + FIRST_PAUSE_S - 1)


def test_a_host_that_has_answered_has_short_pauses_again_once_it_is_a_stranger() -> None:
    purses = Unanswered()
    for at in (NOW, NOW + FIRST_PAUSE_S, NOW + 3 * FIRST_PAUSE_S):
        purses.begin_round(HOST, 500, at)
    purses.answered(HOST, NOW + 4 * FIRST_PAUSE_S)
    later = NOW + 4 * FIRST_PAUSE_S + FREE_S
    for at in (later, later + FIRST_PAUSE_S):
        purses.begin_round(HOST, 500, at)
        assert [purses.admits(HOST, 500, at) for _ in range(3)] == [True, True, False]


def test_questions_to_all_such_hosts_together_are_bounded_and_answers_give_back() -> None:
    purses, crowd = Unanswered(), hosts(TOTAL_BURST + 100)
    for host in crowd:
        purses.earn(host, 400)
    assert sum(purses.admits_question(host, 300, NOW) for host in crowd) == TOTAL_BURST
    assert sum(purses.admits_question(host, 300, NOW + 1) for host in crowd) == TOTAL_RATE
    purses.answered(crowd[0], NOW + 1)
    assert purses.admits_question(crowd[1], 300, NOW + 1) and not purses.admits_question(crowd[1], 300, NOW + 1)


def test_who_names_thousands_finds_their_purses_empty_again() -> None:
    purses = Unanswered(hosts_max=10)
    for host in hosts(100):
        purses.earn(host, 400)
    assert len(purses) == 10 and sum(purses.room(host, NOW) > 0 for host in hosts(100)) == 10


@given(st.lists(st.tuples(st.sampled_from([HOST, OTHER]), st.booleans(), st.integers(1, 1500)), max_size=200))
def test_in_any_order_less_than_three_times_what_came_is_sent(steps: list[tuple[IPAddress, bool, int]]) -> None:
    purses, came, sent = Unanswered(), {HOST: 0, OTHER: 0}, {HOST: 0, OTHER: 0}
    for host, is_coming, size in steps:
        if is_coming:
            came[host] += size
            purses.earn(host, size)
        elif purses.admits(host, size, NOW):
            sent[host] += size
        assert sent[host] < AMPLIFICATION * came[host] or sent[host] == 0


def test_what_names_several_hosts_pays_for_each_of_them() -> None:
    purses = Unanswered()
    purses.earn_all([HOST, OTHER], 400, 3)
    for host in (HOST, OTHER):
        assert purses.room(host, NOW) == AMPLIFICATION * 400 - 1
        assert [purses.admits(host, 100, NOW) for _ in range(4)] == [True] * 3 + [False]


def test_what_the_operator_wants_is_one_datagram_or_as_many_as_are_said() -> None:
    purses = Unanswered()
    purses.grant(HOST, 500)
    purses.grant(OTHER, 500, 3)
    assert [purses.admits(HOST, 100, NOW) for _ in range(2)] == [True, False]
    assert [purses.admits(OTHER, 500, NOW) for _ in range(4)] == [True] * 3 + [False]


def test_there_is_no_room_where_all_datagrams_are_spent_and_no_end_of_it_at_a_host_that_has_answered() -> None:
    purses = Unanswered()
    purses.earn(HOST, 400)
    for _ in range(DATAGRAMS_FOR_ONE):
        assert purses.admits(HOST, 1, NOW)
    assert purses.room(HOST, NOW) == 0
    purses.answered(HOST, NOW)
    assert purses.room(HOST, NOW) == float("inf")


def test_a_question_may_be_as_long_as_the_room_and_takes_nothing_from_all_where_the_host_has_answered() -> None:
    purses = Unanswered()
    purses.grant(HOST, 500)
    assert not purses.admits_question(HOST, 501, NOW) and purses.admits_question(HOST, 500, NOW)
    purses.answered(OTHER, NOW)
    assert all(purses.admits_question(OTHER, 500, NOW) for _ in range(2 * TOTAL_BURST))


def test_a_host_gives_back_one_question_however_often_it_answers() -> None:
    purses, crowd = Unanswered(), hosts(TOTAL_BURST)
    purses.earn_all(crowd, 400)
    assert all(purses.admits_question(host, 300, NOW) for host in crowd)
    for _ in range(3):
        purses.answered(crowd[0], NOW)
    assert [purses.admits_question(crowd[1], 300, NOW) for _ in range(2)] == [True, False]


def test_a_round_to_a_host_that_is_free_begins_no_pause() -> None:
    purses = Unanswered()
    purses.answered(HOST, NOW)
    purses.begin_round(HOST, 500, NOW + FREE_S - 1)
    assert not purses.admits(HOST, 500, NOW + FREE_S)
    purses.begin_round(HOST, 500, NOW + FREE_S)
    assert purses.admits(HOST, 500, NOW + FREE_S)
