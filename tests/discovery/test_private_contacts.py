from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_contacts import (
    MAX_NODES,
    MAX_NODES_OF_HOST,
    SPREAD_OF_HOST,
    Contact,
    ContactTable,
    K,
    host_group,
    node_id,
    position_of,
    spread,
)

KEY = bytes(range(32))
OWN_ID = bytes(20)
endpoints = st.builds(Endpoint, st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(1, 65535)).map(
    lambda each: Endpoint.of(str(each.host), each.port)  # no IPv4 in the clothes of IPv6
)


def at(number: int, port: int = 4001) -> Contact:
    return Contact(Endpoint(ipaddress.IPv4Address(0x0A000000 + number), port), KEY)


@given(endpoints, endpoints)
def test_an_address_has_one_id_and_no_other_address_has_it(one: Endpoint, other: Endpoint) -> None:
    assert node_id(one, KEY) == node_id(one, KEY)
    assert (node_id(one, KEY) == node_id(other, KEY)) is (one == other)


def test_strangers_cannot_compute_an_id() -> None:
    endpoint = Endpoint.parse("192.0.2.1:4001")
    assert node_id(endpoint, KEY) != node_id(endpoint, bytes(32))


def test_one_ipv6_host_counts_as_one_whatever_it_calls_itself() -> None:
    assert host_group(Endpoint.parse("[2001:db8::1]:1")) == host_group(Endpoint.parse("[2001:db8::ffff]:2"))
    assert host_group(Endpoint.parse("192.0.2.1:1")) != host_group(Endpoint.parse("192.0.2.2:1"))


def test_one_host_has_at_most_half_of_the_nodes_of_a_key_while_there_are_others() -> None:
    crowd = [at(1, port) for port in range(1, 200)]
    others = [at(number) for number in range(2, 10)]

    chosen = spread([*crowd, *others], 0)

    assert len(chosen) == K
    assert sum(host_group(each.endpoint) == host_group(crowd[0].endpoint) for each in chosen) == SPREAD_OF_HOST
    assert len(spread(crowd, 0)) == K, "with nobody else it may have all"


@given(st.sets(st.integers(0, 10_000), max_size=60), st.binary(min_size=20, max_size=20))
def test_the_closest_are_the_closest_of_all_that_were_taken(numbers: set[int], key: bytes) -> None:
    table = ContactTable(OWN_ID)
    for number in numbers:
        table.add(at(number))
    target = position_of(key)

    expected = sorted(table.all(), key=lambda each: each.long_id ^ target)[:K]
    assert table.closest(target) == expected


def test_whoever_asks_is_not_told_of_itself() -> None:
    table = ContactTable(OWN_ID)
    table.add(at(1))
    table.add(at(2))

    assert [each.endpoint for each in table.closest(0, without=at(1).endpoint)] == [at(2).endpoint]


def test_neither_a_host_nor_all_together_get_more_room_than_allowed() -> None:
    table = ContactTable(OWN_ID)
    taken_of_host = sum(table.add(at(1, port)) for port in range(1, 100))
    taken = sum(table.add(at(number)) for number in range(2, 1000))

    assert taken_of_host == MAX_NODES_OF_HOST
    assert taken_of_host + taken == MAX_NODES
    assert not table.has_room(at(5000).endpoint)
    assert len(table) <= MAX_NODES


def test_one_that_waited_takes_the_place_of_one_that_is_gone() -> None:
    table = ContactTable(OWN_ID)
    for number in range(200):
        table.add(at(number))
    taken = {each.id for each in table.all()}
    waiting = next(each for number in range(200) if (each := at(number)).id not in taken)

    assert table.find(waiting.id) is not None
    for contact in table.all():
        count = len(table)
        table.remove(contact)
        assert table.find(contact.id) is None
        if len(table) == count:
            break
    (successor,) = {each.id for each in table.all()} - taken
    assert successor in {at(number).id for number in range(200)} - taken


def test_removing_an_unknown_one_changes_nothing() -> None:
    table = ContactTable(OWN_ID)
    table.add(at(1))
    table.remove(at(2))

    assert len(table) == 1
