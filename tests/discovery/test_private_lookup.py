from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_contacts import Contact, K
from wgmesh.discovery.private_lookup import ALPHA, DEADLINE_S, MAX_ASKED, MAX_CANDIDATES, SLOW_S, Lookup

KEY = bytes(32)
START = 1_763_800_000.1  # the present: where floats are coarse


def at(number: int) -> Contact:
    return Contact(Endpoint(ipaddress.IPv4Address(0x0A000000 + number), 4001), KEY)


def nearest(count: int) -> list[Contact]:
    return sorted((at(number) for number in range(count)), key=lambda each: each.long_id)


def test_the_nearest_are_asked_first_and_three_at_a_time() -> None:
    contacts = nearest(20)
    lookup = Lookup(0, reversed(contacts), START)

    asked = lookup.next_contacts(START)

    assert [each.id for each in asked] == [each.id for each in contacts[:ALPHA]]
    assert lookup.next_contacts(START) == []
    assert not lookup.is_done(START)


def test_a_slow_node_no_longer_holds_up_the_next() -> None:
    lookup = Lookup(0, nearest(20), START)
    lookup.next_contacts(START)
    wake_at = lookup.wake_at(START)

    assert abs(wake_at - START - SLOW_S) < 1e-3
    assert len(lookup.next_contacts(wake_at)) == ALPHA


def test_one_that_answers_makes_room_for_the_next_and_may_name_nearer_ones() -> None:
    contacts = nearest(20)
    lookup = Lookup(0, contacts[5:], START)
    first = lookup.next_contacts(START)[0]

    lookup.answered(first)
    lookup.learn(contacts[:5])

    assert [each.id for each in lookup.next_contacts(START)] == [contacts[0].id]


def test_it_is_done_when_the_nearest_have_answered_and_dead_ones_do_not_count() -> None:
    contacts = nearest(20)
    dead = {each.id for each in contacts[::2]}
    lookup = Lookup(0, contacts, START)
    now = START
    while asked := lookup.next_contacts(now):
        for each in asked:
            lookup.failed(each) if each.id in dead else lookup.answered(each)

    assert lookup.is_done(now)
    assert [each.id for each in lookup.closest()] == [each.id for each in contacts[1::2][:K]]


def test_with_nobody_to_ask_it_is_done_at_once() -> None:
    lookup = Lookup(0, [], START)

    assert lookup.next_contacts(START) == []
    assert lookup.is_done(START)
    assert lookup.closest() == []


def test_time_runs_out_for_those_who_never_answer() -> None:
    lookup = Lookup(0, nearest(8), START)
    now = START
    while not lookup.is_done(now):
        lookup.next_contacts(now)
        now = lookup.wake_at(now)

    assert now == START + DEADLINE_S
    assert lookup.closest() == []


def test_a_member_that_invents_ever_nearer_nodes_is_listened_to_for_forty_questions() -> None:
    invented = iter(sorted((at(number) for number in range(5000)), key=lambda each: -each.long_id))
    lookup = Lookup(0, [next(invented)], START)
    count = 0
    while asked := lookup.next_contacts(START):
        count += len(asked)
        for each in asked:
            lookup.answered(each)
            lookup.learn([next(invented)])

    assert count == MAX_ASKED
    assert lookup.is_done(START)


def test_no_more_candidates_are_kept_than_allowed() -> None:
    contacts = nearest(1000)
    lookup = Lookup(0, reversed(contacts), START)  # the farthest came first
    asked = 0
    while batch := lookup.next_contacts(START):
        asked += len(batch)
        for each in batch:
            lookup.failed(each)

    assert asked == MAX_ASKED
    assert lookup.closest() == []
    assert MAX_CANDIDATES < 1000


@settings(deadline=None)  # a busy machine
@given(st.integers(1, 40), st.data())
def test_whatever_answers_and_fails_it_ends_and_only_who_answered_is_found(count: int, data: st.DataObject) -> None:
    lookup = Lookup(0, nearest(count), START)
    now = START
    waiting: list[Contact] = []
    answered: set[bytes] = set()
    for _ in range(500):
        waiting += lookup.next_contacts(now)
        if lookup.is_done(now):
            break
        if data.draw(st.booleans()) and waiting:
            contact = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            if data.draw(st.booleans()):
                lookup.answered(contact)
                answered.add(contact.id)
            else:
                lookup.failed(contact)
        else:
            woken_at = lookup.wake_at(now)
            assert woken_at > now
            now = woken_at

    assert lookup.is_done(now)
    assert {each.id for each in lookup.closest()} <= answered
