from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from kademlia.node import Node
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_dht.routing import (
    MAX_NODES,
    MAX_NODES_OF_HOST,
    SPREAD_OF_HOST,
    BoundedTable,
    K,
    node_at,
    spread,
)

KEY = bytes(range(32))
OWN = Node(bytes(20))
endpoints = st.builds(Endpoint, st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(1, 65535)).map(
    lambda each: Endpoint.of(str(each.host), each.port)  # no IPv4 in the clothes of IPv6
)


def at(number: int, port: int = 4001) -> Node:
    return node_at(Endpoint(ipaddress.IPv4Address(0x0A000000 + number), port), KEY)


@given(endpoints, endpoints)
def test_an_address_has_one_id_and_no_other_address_has_it(one: Endpoint, other: Endpoint) -> None:
    assert node_at(one, KEY).id == node_at(one, KEY).id
    assert (node_at(one, KEY).id == node_at(other, KEY).id) is (one == other)


def test_strangers_cannot_compute_an_id() -> None:
    endpoint = Endpoint.parse("192.0.2.1:4001")
    assert node_at(endpoint, KEY).id != node_at(endpoint, bytes(32)).id


def test_one_host_has_at_most_half_of_the_nodes_of_a_key_while_there_are_others() -> None:
    crowd = [at(1, port) for port in range(1, 200)]
    others = [at(number) for number in range(2, 10)]
    chosen = spread([*crowd, *others], OWN)
    assert len(chosen) == K
    assert sum(each.ip == crowd[0].ip for each in chosen) == SPREAD_OF_HOST
    assert len(spread(crowd, OWN)) == K, "with nobody else it may have all"


def test_one_ipv6_host_counts_as_one_whatever_it_calls_itself() -> None:
    crowd = [node_at(Endpoint.parse(f"[2001:db8::{number}]:1"), KEY) for number in range(1, 100)]
    others = [at(number) for number in range(2, 10)]
    assert sum(each.ip.version == 6 for each in spread([*crowd, *others], OWN)) == SPREAD_OF_HOST


@given(st.sets(st.integers(0, 10_000), max_size=60), st.binary(min_size=20, max_size=20))
def test_the_closest_are_the_closest_of_all_that_were_taken(numbers: set[int], key: bytes) -> None:
    table = BoundedTable(OWN)
    for number in numbers:
        table.add_contact(at(number))
    target = Node(key)
    assert table.find_neighbors(target) == sorted(table.nodes(), key=target.distance_to)[:K]
    assert len(table.nodes()) == len(numbers)


def test_one_that_asks_is_not_told_of_itself() -> None:
    table = BoundedTable(OWN)
    for number in (1, 2):
        table.add_contact(at(number))
    assert [each.ip for each in table.find_neighbors(OWN, exclude=at(1))] == [at(2).ip]


def test_neither_a_host_nor_all_together_get_more_room_than_allowed() -> None:
    table = BoundedTable(OWN)
    taken_of_host = sum(table.add_contact(at(1, port)) for port in range(1, 100))
    taken = sum(table.add_contact(at(number)) for number in range(2, 1000))
    assert taken_of_host == MAX_NODES_OF_HOST
    assert taken_of_host + taken == MAX_NODES == len(table.nodes())
    assert len(table.buckets) == 1 and not table.buckets[0].replacement_nodes


def test_one_that_goes_makes_room_for_the_next_that_comes() -> None:
    table = BoundedTable(OWN)
    for number in range(MAX_NODES):
        table.add_contact(at(number))
    assert not table.add_contact(at(5000))
    table.remove_contact(at(7))
    assert table.add_contact(at(5000))
    assert len(table.nodes()) == MAX_NODES


def test_the_one_that_was_silent_for_longest_comes_first() -> None:
    table = BoundedTable(OWN)
    for number in (1, 2, 3, 1):
        assert table.add_contact(at(number))
    assert [each.ip for each in table.nodes()] == [at(number).ip for number in (2, 3, 1)]


def test_removing_an_unknown_one_changes_nothing() -> None:
    table = BoundedTable(OWN)
    table.add_contact(at(1))
    table.remove_contact(at(2))
    assert len(table.nodes()) == 1
